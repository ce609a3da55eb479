"""What check_minilm.py and check_wordllama.py share: the texts of CSV files, and `sensorium embed` of them."""
import csv
import os
import subprocess
import tempfile

import numpy


def texts_of(tables):
    """Column "text" of every table, its white space single."""
    texts = []
    for path in tables:
        with open(path, newline="", encoding="utf-8") as file:
            texts += [" ".join(row["text"].split()) for row in csv.DictReader(file)]
    return texts


def embed(sensorium, model, texts, precision):
    with tempfile.TemporaryDirectory() as folder:
        lines, matrix = os.path.join(folder, "texts"), os.path.join(folder, "vectors.npy")
        with open(lines, "w", encoding="utf-8") as file:
            file.writelines(text + "\n" for text in texts)
        subprocess.run([sensorium, "embed", model, "--items", lines, "-o", matrix, "--precision", precision], check=True)
        return numpy.load(matrix)
