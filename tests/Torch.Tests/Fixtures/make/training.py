# Writes training.json: initial values, optimiser steps, clipped gradients, schedules and attention as PyTorch computes them.
# Run with any Python that has torch (the fixture was made with 2.13, CPU): python training.py > ../training.json
import json

import torch
import torch.nn.functional as F
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, SequentialLR

RESULT = {}


def put(name, tensor):
    RESULT[name] = {"dtype": str(tensor.dtype)[6:], "shape": list(tensor.shape), "data": tensor.detach().double().flatten().tolist()}


def initial_values():
    torch.manual_seed(3)
    linear = torch.nn.Linear(5, 3)
    put("linear.weight", linear.weight)
    put("linear.bias", linear.bias)
    put("embedding.weight", torch.nn.Embedding(6, 4, padding_idx=2).weight)
    for name in ["xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"]:
        put(name, getattr(torch.nn.init, name)(torch.empty(4, 6)))


def optimiser(name, kind, **options):
    torch.manual_seed(5)
    parameter = torch.nn.Parameter(torch.randn(40))
    optimizer = kind([parameter], **options)
    put("start", parameter)
    for step in range(5):
        parameter.grad = torch.randn(40)
        put(f"grad.{step}", parameter.grad)
        optimizer.step()
    put(name, parameter)


def clipped():
    torch.manual_seed(6)
    parameters = [torch.nn.Parameter(torch.zeros(7)), torch.nn.Parameter(torch.zeros(2, 3))]
    for k, parameter in enumerate(parameters):
        parameter.grad = torch.randn(parameter.shape)
        put(f"clip.before.{k}", parameter.grad)
    put("clip.norm", torch.nn.utils.clip_grad_norm_(parameters, 1.5))
    for k, parameter in enumerate(parameters):
        put(f"clip.after.{k}", parameter.grad)


def schedule(name, make):
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.25)
    scheduler = make(optimizer)
    rates = []
    for _ in range(16):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    put(name, torch.tensor(rates, dtype=torch.float64))


def attention():
    torch.manual_seed(8)
    q, k, v = torch.randn(2, 3, 4).double(), torch.randn(2, 5, 4).double(), torch.randn(2, 5, 2).double()
    seen = torch.tensor([[1, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]]).bool()
    bias = torch.randn(3, 5)
    for name, tensor in {"q": q, "k": k, "v": v, "bias": bias}.items():
        put("attention." + name, tensor)
    put("attention.seen", F.scaled_dot_product_attention(q, k, v, seen))
    put("attention.biased", F.scaled_dot_product_attention(q, k, v, bias.double()))


initial_values()
optimiser("adamw", AdamW, lr=1e-2, weight_decay=0.1)
optimiser("adamw.amsgrad", AdamW, lr=1e-2, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.0, amsgrad=True, maximize=True)
optimiser("sgd", SGD, lr=1e-2)
optimiser("sgd.momentum", SGD, lr=1e-2, momentum=0.9, dampening=0.1, weight_decay=0.05)
optimiser("sgd.nesterov", SGD, lr=1e-2, momentum=0.9, nesterov=True, maximize=True)
clipped()
schedule("cosine", lambda o: CosineAnnealingLR(o, 10, 0.01))
schedule("linear", lambda o: LinearLR(o, 0.2, 0.8, 6))
schedule("lambda", lambda o: LambdaLR(o, lambda step: 0.9**step))
schedule("sequence", lambda o: SequentialLR(o, [LinearLR(o, 0.1, 1.0, 4), CosineAnnealingLR(o, 8), LambdaLR(o, lambda step: 0.5)], [4, 12]))
attention()
print("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in RESULT.items()) + "\n}")
