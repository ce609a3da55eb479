"""Random weights of networks of convolutions; for the tools, with PyTorch alone."""
import torch


def spread(model):
    """Weights as such networks begin, so that no layer shrinks what it is given; batch norms that have seen something."""
    nn = torch.nn
    for m in model.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
            if m.bias is not None:
                nn.init.normal_(m.bias, 0, 0.1)
        if isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.running_mean, 0, 0.3)
            nn.init.uniform_(m.running_var, 0.5, 1.5)
    return model
