#!/usr/bin/env python3
"""Makes tests/golden/pages: tiny models of every published architecture with random weights, as Transformers saves them,
and what Transformers computes with them: named outputs, and the gradient of every parameter.

    golden_pages.py OUT [NAME...]

OUT/NAME/config.json, model.safetensors   the model
OUT/NAME/golden.safetensors               in.*   inputs (pixels as [N,H,W,C]; text as ids, types, lengths)
                                          out.*  outputs by name
                                          dy.*   cotangents of those outputs that were differentiated
                                          grad.* gradients of sum(out * dy) by the weights' published names
Needs torch and transformers."""
import os, shutil, sys, tempfile, warnings
import torch
import transformers as T
from safetensors.torch import load_file, save_file

from torch_models import RESNET, Renamed, VGG

warnings.filterwarnings("ignore")
T.logging.set_verbosity_error()
T.logging.disable_progress_bar()
N, STEPS, VOCAB = 2, 7, 40
TEXT = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, vocab_size=VOCAB,
            max_position_embeddings=24)
IMAGE = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, image_size=12, patch_size=4)
# models of two towers
SMALL = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12)
SMALL_TEXT, SMALL_IMAGE = {**TEXT, **SMALL, "max_position_embeddings": 12}, {**IMAGE, **SMALL, "image_size": 8}


def text(lengths=(7, 4), low=5, types=2):
    ids = torch.randint(low, VOCAB, (N, STEPS))
    mask = torch.zeros(N, STEPS, dtype=torch.long)
    for row, n in enumerate(lengths):
        mask[row, :n] = 1
    kinds = torch.randint(0, types, (N, STEPS)) * mask
    return ids, mask, kinds


def text_inputs(pad=0, types=2, lengths=(7, 4), takes_types=True):
    ids, mask, kinds = text(lengths=lengths, types=types)
    ids = torch.where(mask > 0, ids, torch.full_like(ids, pad))
    given = dict(input_ids=ids, attention_mask=mask)
    if takes_types:
        given["token_type_ids"] = kinds
    saved = {"in.ids": ids.int(), "in.types": kinds.int(), "in.mask": mask.sum(1).int()}
    return given, saved


def pixel_inputs(size=12, channels=3, width=None):
    x = torch.randn(N, channels, size, width or size)
    return dict(pixel_values=x), {"in.pixels": x.permute(0, 2, 3, 1).contiguous()}


def sound_inputs(mels, frames):
    x, target = torch.randn(N, mels, frames), torch.randint(5, VOCAB, (N, STEPS))
    return dict(input_features=x, decoder_input_ids=target), {"in.sound": x.permute(0, 2, 1).contiguous(), "in.target": target.int()}


def gpt2(n_embd=16, **more):
    return T.GPT2Config(n_embd=n_embd, n_layer=2, n_head=2, vocab_size=VOCAB, n_positions=24, bos_token_id=1, eos_token_id=2, **more)


# name: (model, inputs, outputs that are differentiated)
def families():
    bert, roberta = T.BertConfig(**TEXT), T.RobertaConfig(**TEXT, pad_token_id=1, type_vocab_size=1)
    three = {"num_labels": 3}
    yield "bert", T.BertModel(bert), text_inputs(), ["last_hidden_state", "pooler_output"]
    yield "bert_mlm", T.BertForMaskedLM(bert), text_inputs(), ["logits"]
    yield "bert_classes", T.BertForSequenceClassification(T.BertConfig(**TEXT, **three)), text_inputs(), ["logits"]
    yield "bert_tokens", T.BertForTokenClassification(T.BertConfig(**TEXT, **three)), text_inputs(), ["logits"]
    yield "roberta", T.RobertaModel(roberta), text_inputs(pad=1, types=1), ["last_hidden_state", "pooler_output"]
    yield "roberta_mlm", T.RobertaForMaskedLM(roberta), text_inputs(pad=1, types=1), ["logits"]
    yield "xlm_roberta_classes", T.XLMRobertaForSequenceClassification(
        T.XLMRobertaConfig(**TEXT, **three, pad_token_id=1, type_vocab_size=1)), text_inputs(pad=1, types=1), ["logits"]
    distil = dict(dim=16, n_layers=2, n_heads=2, hidden_dim=24, vocab_size=VOCAB, max_position_embeddings=24)
    yield "distilbert", T.DistilBertModel(T.DistilBertConfig(**distil)), text_inputs(takes_types=False), ["last_hidden_state"]
    yield "distilbert_mlm", T.DistilBertForMaskedLM(T.DistilBertConfig(**distil)), text_inputs(takes_types=False), ["logits"]
    yield "distilbert_classes", T.DistilBertForSequenceClassification(T.DistilBertConfig(**distil, **three)), \
        text_inputs(takes_types=False), ["logits"]
    yield "vit", T.ViTModel(T.ViTConfig(**IMAGE)), pixel_inputs(), ["last_hidden_state", "pooler_output"]
    yield "vit_classes", T.ViTForImageClassification(T.ViTConfig(**IMAGE, **three)), pixel_inputs(), ["logits"]
    yield "deit", T.DeiTModel(T.DeiTConfig(**IMAGE)), pixel_inputs(), ["last_hidden_state"]
    yield "gpt2", T.GPT2Model(gpt2()), text_inputs(lengths=(7, 7), takes_types=False), ["last_hidden_state"]
    whisper = T.WhisperConfig(d_model=8, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=12, decoder_layers=2,
                              decoder_attention_heads=4, decoder_ffn_dim=10, num_mel_bins=6, max_source_positions=9,
                              max_target_positions=12, vocab_size=VOCAB, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                              decoder_start_token_id=3, suppress_tokens=None, begin_suppress_tokens=None)
    yield "whisper", T.WhisperModel(whisper), sound_inputs(6, 18), ["last_hidden_state", "encoder_last_hidden_state"]
    yield "whisper_lm", T.WhisperForConditionalGeneration(whisper), sound_inputs(6, 18), ["logits"]
    basic = dict(num_channels=2, embedding_size=6, hidden_sizes=[6, 8], depths=[1, 2], layer_type="basic")
    neck = dict(num_channels=2, embedding_size=6, hidden_sizes=[8, 12], depths=[2, 1], layer_type="bottleneck")
    yield "resnet", T.ResNetModel(T.ResNetConfig(**basic)), pixel_inputs(21, 2), ["last_hidden_state", "pooler_output"]
    yield "resnet_classes", T.ResNetForImageClassification(T.ResNetConfig(**neck, **three, downsample_in_first_stage=True)), \
        pixel_inputs(21, 2), ["logits"]
    yield "resnet_early", T.ResNetForImageClassification(T.ResNetConfig(**neck, **three, downsample_in_bottleneck=True)), \
        pixel_inputs(21, 2), ["logits"]
    timm = T.ResNetConfig(num_channels=1, embedding_size=64, hidden_sizes=[8, 12], depths=[1, 1], layer_type="bottleneck", **three)
    yield "resnet_timm", Renamed(T.ResNetForImageClassification(timm), RESNET, architecture="resnet50", num_classes=3,
                                 num_channels=1, model_args={"layers": [1, 1], "channels": [2, 3]}), pixel_inputs(15, 1), ["logits"]
    small = dict(num_classes=3, num_channels=1, widths=[2, 3, 4, 4, 4], hidden_size=5)
    yield "vgg", VGG(16, False, False, **small), pixel_inputs(64, 1), ["logits"]
    yield "vgg_bn", VGG(11, True, False, **small), pixel_inputs(45, 1), ["logits"]
    yield "vgg_timm", VGG(13, False, True, **small), pixel_inputs(50, 1), ["logits"]
    yield "vision_encoder_decoder", *captioner(gpt2(n_embd=8))
    yield "vision_encoder_decoder_bert", *captioner(T.BertConfig(**SMALL_TEXT), hidden_size=6)
    yield from pairs()
    yield "deit_classes", T.DeiTForImageClassification(T.DeiTConfig(**IMAGE, **three)), pixel_inputs(), ["logits"]
    yield "deit_teacher", T.DeiTForImageClassificationWithTeacher(T.DeiTConfig(**IMAGE, **three)), pixel_inputs(), ["logits"]
    dino = {**IMAGE, **SMALL, "mlp_ratio": 2}
    del dino["intermediate_size"]
    yield "dinov2", T.Dinov2Model(T.Dinov2Config(**dino)), pixel_inputs(), ["last_hidden_state", "pooler_output"]
    yield "dinov2_larger", T.Dinov2Model(T.Dinov2Config(**dino)), pixel_inputs(28, width=8), ["last_hidden_state"]
    yield "dinov2_classes", T.Dinov2ForImageClassification(T.Dinov2Config(**dino, **three, use_swiglu_ffn=True)), pixel_inputs(), ["logits"]
    registers = T.Dinov2WithRegistersConfig(**dino, **three, num_register_tokens=2)
    yield "dinov2_registers", T.Dinov2WithRegistersForImageClassification(registers), pixel_inputs(), ["logits"]
    yield "dinov2_registers_smaller", T.Dinov2WithRegistersModel(T.Dinov2WithRegistersConfig(
        **{**dino, "image_size": 28}, num_register_tokens=2)), pixel_inputs(12, width=20), ["last_hidden_state"]
    vilt = T.ViltConfig(**{**SMALL_TEXT, **SMALL_IMAGE}, **three)
    yield "vilt", shuffled(T.ViltModel)(vilt), joint_inputs(), ["pooler_output"]
    yield "vilt_answers", shuffled(T.ViltForQuestionAnswering)(vilt), joint_inputs(), ["logits"]
    yield "vilt_words", shuffled(T.ViltForMaskedLM)(vilt), joint_inputs(), ["logits"]
    yield "vilt_retrieval", shuffled(T.ViltForImageAndTextRetrieval)(vilt), joint_inputs(), ["logits"]
    yield "gpt2_lm", T.GPT2LMHeadModel(gpt2()), text_inputs(lengths=(7, 5), takes_types=False), ["logits"]
    yield from blips()
    yield from visual_berts()
    yield from heads()


def heads():
    """Over the smallest of the text models: answers' spans, choices, classes of tokens, BERT's two tasks."""
    text = {**SMALL_TEXT, "num_hidden_layers": 1}
    bert, roberta = T.BertConfig(**text), T.RobertaConfig(**text, pad_token_id=1, type_vocab_size=1)
    distil = T.DistilBertConfig(dim=8, n_layers=1, n_heads=2, hidden_dim=12, vocab_size=VOCAB, max_position_embeddings=12)
    span = ["start_logits", "end_logits"]
    yield "bert_pretraining", T.BertForPreTraining(bert), text_inputs(), ["prediction_logits", "seq_relationship_logits"]
    yield "bert_next", T.BertForNextSentencePrediction(bert), text_inputs(), ["logits"]
    yield "bert_answers", T.BertForQuestionAnswering(bert), text_inputs(), span
    yield "bert_choices", choices(T.BertForMultipleChoice)(bert), text_inputs(), ["logits"]
    yield "roberta_answers", T.RobertaForQuestionAnswering(roberta), text_inputs(pad=1, types=1), span
    yield "roberta_choices", choices(T.RobertaForMultipleChoice)(roberta), text_inputs(pad=1, types=1), ["logits"]
    yield "distilbert_answers", T.DistilBertForQuestionAnswering(distil), text_inputs(takes_types=False), span
    yield "distilbert_choices", choices(T.DistilBertForMultipleChoice)(distil), text_inputs(takes_types=False), ["logits"]
    distil.num_labels = 3
    yield "distilbert_tokens", T.DistilBertForTokenClassification(distil), text_inputs(takes_types=False), ["logits"]
    own = T.BertForMaskedLM(T.BertConfig(**text, tie_word_embeddings=False))
    own.cls.predictions.bias.requires_grad_(False)  # decoder.bias is used
    yield "bert_untied", own, text_inputs(), ["logits"]
    yield "distilbert_untied", T.DistilBertForMaskedLM(T.DistilBertConfig(**{**distil.to_dict(), "tie_word_embeddings": False})), \
        text_inputs(takes_types=False), ["logits"]
    last = gpt2(n_embd=8, tie_word_embeddings=False)
    last.n_layer = 1
    yield "gpt2_untied", T.GPT2LMHeadModel(last), text_inputs(lengths=(7, 7), takes_types=False), ["logits"]
    last = gpt2(n_embd=8, num_labels=3, pad_token_id=0)
    last.n_layer = 1
    yield "gpt2_classes", T.GPT2ForSequenceClassification(last), text_inputs(takes_types=False), ["logits"]


def captioner(decoder, **encoder):
    """ViT and a decoder with cross-attention; the ids of the decoder are the target."""
    config = T.VisionEncoderDecoderConfig.from_encoder_decoder_configs(T.ViTConfig(**{**SMALL_IMAGE, **encoder}), decoder)
    given, saved = pixel_inputs(8)
    ids = torch.randint(5, VOCAB, (N, STEPS))
    return T.VisionEncoderDecoderModel(config), ({**given, "decoder_input_ids": ids}, {**saved, "in.target": ids.int()}), \
        ["logits", "encoder_last_hidden_state"]


def pair_inputs(end=None, takes_types=False, lengths=(7, 4), mask=True):
    """A picture and a text; `end`: the id that closes each text, and pads it."""
    given, saved = text_inputs(pad=end or 0, takes_types=takes_types, lengths=lengths)
    if end is not None:
        given["input_ids"].clamp_(max=end - 1)
        for row, n in enumerate(lengths):
            given["input_ids"][row, n - 1:] = end
        saved["in.ids"] = given["input_ids"].int()
    if not mask:
        del given["attention_mask"]
    pixels, saved_pixels = pixel_inputs(8)
    return {**given, **pixels}, {**saved, **saved_pixels}


def pairs():
    """Models that compare pictures and texts."""
    outputs = ["logits_per_image", "text_embeds", "image_embeds"]
    both = lambda text, image, **more: dict(text_config={**SMALL_TEXT, **text}, vision_config={**SMALL_IMAGE, **image}, **more)
    text = {**SMALL_TEXT, "eos_token_id": VOCAB - 1, "projection_dim": 6}
    yield "clip", T.CLIPModel(T.CLIPConfig(**both({"eos_token_id": VOCAB - 1}, {}, projection_dim=6))), pair_inputs(VOCAB - 1), outputs
    yield "clip_text", T.CLIPTextModel(T.CLIPTextConfig(**{**text, "eos_token_id": 2})), drop_pixels(pair_inputs(VOCAB - 1)), \
        ["last_hidden_state", "pooler_output"]
    yield "clip_text_embeds", T.CLIPTextModelWithProjection(T.CLIPTextConfig(**text)), drop_pixels(pair_inputs(VOCAB - 1)), ["text_embeds"]
    yield "clip_vision", T.CLIPVisionModel(T.CLIPVisionConfig(**SMALL_IMAGE)), pixel_inputs(8), ["last_hidden_state", "pooler_output"]
    yield "clip_vision_embeds", T.CLIPVisionModelWithProjection(T.CLIPVisionConfig(**SMALL_IMAGE, projection_dim=6)), \
        pixel_inputs(8), ["image_embeds"]
    yield "chinese_clip", T.ChineseCLIPModel(T.ChineseCLIPConfig(**both({}, {"hidden_size": 6}, projection_dim=6))), \
        pair_inputs(takes_types=True), outputs
    yield "siglip", T.SiglipModel(T.SiglipConfig(**both({}, {}))), pair_inputs(lengths=(7, 7), mask=False), outputs
    yield "siglip_vision", T.SiglipVisionModel(T.SiglipVisionConfig(**SMALL_IMAGE)), pixel_inputs(8), ["last_hidden_state", "pooler_output"]


def drop_pixels(inputs):
    given, saved = inputs
    return {k: v for k, v in given.items() if k != "pixel_values"}, {k: v for k, v in saved.items() if k != "in.pixels"}


def joint_inputs():
    """Text and a picture of 2 x 3 patches as one sequence; the mask covers both."""
    given, saved = text_inputs()
    pixels, saved_pixels = pixel_inputs(8, width=12)
    mask = torch.cat([given["attention_mask"], torch.ones(N, 1 + 2 * 3, dtype=torch.long)], 1)
    return {**given, **pixels, "pixel_mask": torch.ones(N, 8, 12)}, {**saved, **saved_pixels, "in.mask": mask.int()}


def shuffled(kind):
    """ViLT puts the patches in random order: what does not depend on it."""
    class Same(kind):
        def forward(self, **given):
            out = super().forward(**given)
            return {k: v for k, v in out.items() if k in ("pooler_output", "logits")}
    Same.__name__ = kind.__name__
    return Same


def blips():
    text = {**SMALL_TEXT, "encoder_hidden_size": 8, "bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 3, "pad_token_id": 0}
    config = T.BlipConfig(text_config=text, vision_config={**SMALL_IMAGE, "hidden_size": 6}, projection_dim=4, image_text_hidden_size=5)
    target = torch.randint(5, VOCAB, (N, 5))
    given, saved = pixel_inputs(8)
    yield "blip_captions", T.BlipForConditionalGeneration(config), ({**given, "input_ids": target}, {**saved, "in.target": target.int()}), \
        ["logits", "last_hidden_state"]
    given, saved = pair_inputs()
    config.text_config.num_hidden_layers = config.vision_config.num_hidden_layers = 1
    same = T.BlipConfig(text_config={**text, "num_hidden_layers": 1}, vision_config={**SMALL_IMAGE, "num_hidden_layers": 1})
    yield "blip_answers", Answers(same), ({**given, "decoder_input_ids": target}, {**saved, "in.target": target.int()}), ["logits"]
    yield "blip_retrieval", Retrieval(config), pair_inputs(), ["itm_score", "logits_per_image"]
    yield "blip", Base(config), pair_inputs(), ["logits_per_image", "multimodal_embeds"]


def visual_berts():
    config = T.VisualBertConfig(**SMALL_TEXT, visual_embedding_dim=5, pad_token_id=0, num_labels=3)
    yield "visual_bert", T.VisualBertModel(config), region_inputs(), ["last_hidden_state", "pooler_output"]
    yield "visual_bert_pretraining", T.VisualBertForPreTraining(config), region_inputs(), ["prediction_logits", "seq_relationship_logits"]
    yield "visual_bert_answers", T.VisualBertForQuestionAnswering(config), region_inputs(), ["logits"]
    yield "visual_bert_reasoning", T.VisualBertForVisualReasoning(config), region_inputs(), ["logits"]
    yield "visual_bert_choices", choices(T.VisualBertForMultipleChoice)(config), region_inputs(), ["logits"]


def choices(kind):
    """The rows are the choices of one question."""
    class Same(kind):
        def forward(self, **given):
            given = {k: v[None] if torch.is_tensor(v) else v for k, v in given.items()}
            out = super().forward(**given)
            return {"logits": out.logits.reshape(-1, 1), "hidden_states": out.hidden_states}
    Same.__name__ = kind.__name__
    return Same


def region_inputs(regions=3, width=5):
    """Text and a detector's features as one sequence; the second picture has a region less."""
    given, saved = text_inputs()
    features = torch.randn(N, regions, width)
    seen = torch.ones(N, regions, dtype=torch.long)
    seen[1, regions - 1] = 0
    mask = torch.cat([given["attention_mask"], seen], 1)
    return {**given, "visual_embeds": features, "visual_attention_mask": seen}, {**saved, "in.regions": features, "in.mask": mask.int()}


class Answers(T.BlipForQuestionAnswering):
    """forward keeps the logits of the answer to itself. Each question is asked alone: Transformers 5 does not hand the mask of
    a padded question on to the cross-attention."""
    def forward(self, input_ids, pixel_values, attention_mask, decoder_input_ids, **more):
        rows = []
        for i, n in enumerate(attention_mask.sum(1)):
            image = self.vision_model(pixel_values=pixel_values[i:i + 1])[0]
            question = self.text_encoder(input_ids=input_ids[i:i + 1, :n], encoder_hidden_states=image)[0]
            rows.append(self.text_decoder(input_ids=decoder_input_ids[i:i + 1], encoder_hidden_states=question).logits)
        return {"logits": torch.cat(rows)}


class Retrieval(T.BlipForImageTextRetrieval):
    """Both of the answers that forward chooses from."""
    def forward(self, **given):
        out = super().forward(**given)
        return {"itm_score": out.itm_score, "last_hidden_state": out.last_hidden_state, "question_embeds": out.question_embeds,
                "logits_per_image": super().forward(**{**given, "use_itm_head": False}).itm_score}


class Base(T.BlipModel):
    """With the text that has seen the picture."""
    def forward(self, **given):
        out = super().forward(**given)
        asked = {k: given[k] for k in ("input_ids", "pixel_values", "attention_mask")}
        return {**{k: v for k, v in out.items() if torch.is_tensor(v)}, "multimodal_embeds": self.get_multimodal_features(**asked)}


Answers.__name__, Retrieval.__name__ = "BlipForQuestionAnswering", "BlipForImageTextRetrieval"  # what is saved
Base.__name__ = "BlipModel"


def fill(model):
    for name, p in model.named_parameters():
        if name.endswith("mask_token"):  # pretraining's
            p.requires_grad_(False)
        if p.dim() > 1:
            torch.nn.init.normal_(p, 0, 0.3)
        elif "norm" in name.lower() and name.endswith("weight") or "ln_" in name and name.endswith("weight"):
            p.data = 1 + 0.2 * torch.randn_like(p)
        elif p.dim() == 1:
            torch.nn.init.normal_(p, 0, 0.1)
    for name, b in model.named_buffers():  # batch norm
        if name.endswith("running_mean"):
            torch.nn.init.normal_(b, 0, 0.3)
        elif name.endswith("running_var"):
            torch.nn.init.uniform_(b, 0.5, 1.5)
    model.tie_weights()


def published(model, tensors):
    """Values for the parameters of a model, under the names that save_pretrained gives them."""
    kept = {name: p.data for name, p in model.named_parameters()}
    for name, p in model.named_parameters():
        p.data = tensors[name] if tensors[name] is not None else torch.zeros_like(p)
    with tempfile.TemporaryDirectory() as place:
        model.save_pretrained(place)
        out = load_file(os.path.join(place, "model.safetensors"))
    renamed = getattr(model, "renamed", lambda name: name)
    without = {renamed(name) for name, _ in model.named_buffers()}
    without |= {renamed(name) for name, p in model.named_parameters() if not p.requires_grad}
    out = {name: value for name, value in out.items() if name not in without}
    for name, p in model.named_parameters():
        p.data = kept[name]
    return out


def named(outputs):
    got = {}
    for key, value in outputs.items():
        if torch.is_tensor(value):
            got[key] = value
        elif key.endswith("hidden_states") and value is not None:
            got.update({f"{key}.{i}": h for i, h in enumerate(value)})
    return {key: value.permute(0, 2, 3, 1) if value.dim() == 4 else value for key, value in got.items()}  # pictures: [N,H,W,C]


def make(place, model, inputs, wanted):
    given, saved = inputs
    model.eval()
    fill(model)
    shutil.rmtree(place, ignore_errors=True)
    model.save_pretrained(place)
    model.double()
    given = {k: v.double() if v.is_floating_point() else v for k, v in given.items()}
    got = named(model(**given, output_hidden_states=True, return_dict=True))
    parameters = dict(model.named_parameters())
    loss = 0
    for key in wanted:
        saved["dy." + key] = torch.randn_like(got[key].float())
        if "in.mask" in saved and saved["in.mask"].dim() == 1 and got[key].dim() in (2, 3) and got[key].shape[1] == STEPS:  # padding is nobody's business
            for row, n in enumerate(saved["in.mask"]):
                saved["dy." + key][row, n:] = 0
        if "in.mask" in saved and saved["in.mask"].dim() == 2 and got[key].shape[:2] == saved["in.mask"].shape:
            saved["dy." + key] *= saved["in.mask"][..., None]
        loss = loss + (got[key] * saved["dy." + key]).sum()
    loss.backward()
    saved.update({"grad." + k: v for k, v in published(model, {k: p.grad for k, p in parameters.items()}).items()})
    saved.update({"out." + k: v.detach() for k, v in got.items()})
    for extra in ("generation_config.json",):
        if os.path.exists(os.path.join(place, extra)):
            os.remove(os.path.join(place, extra))
    save_file({k: (v.float() if v.is_floating_point() else v).contiguous().clone() for k, v in saved.items()}, os.path.join(place, "golden.safetensors"))


def main():
    out, only = sys.argv[1], sys.argv[2:]
    rows = families()
    while True:
        torch.manual_seed(7)
        row = next(rows, None)
        if row is None:
            break
        name, model, inputs, wanted = row
        if only and name not in only:
            continue
        make(os.path.join(out, name), model, inputs, wanted)
        print(name, sum(p.numel() for p in model.parameters()), "parameters")


main()
