"""Writes the cases that the layers' tests compare with: python make_cases.py [file ...]

Each case holds inputs, parameters, an output gradient, and what PyTorch computes from them in double precision, all in
the layout of the Rust crate (a weight matrix is n_in × n_out; arrays are flat, row-major). A new file of cases is a
function of its name below.
"""
import json, pathlib, sys
import torch

F = torch.nn.functional


def single(*shape, scale=1.0):
    """Random numbers that are exact in single precision."""
    return (torch.randn(*shape) * scale).float().double()


def flat(tensor):
    return [float(f"{v:.9g}") for v in tensor.detach().reshape(-1).tolist()]


def case(forward, x, params, mode="train"):
    """The case of y = forward(x, params), with y's gradient drawn at random; x is rows, params a dictionary."""
    x = x.clone().requires_grad_(True)
    params = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in params.items()}
    y = forward(x, params)
    dy = single(*y.shape)
    y.backward(dy)
    zero = lambda v: torch.zeros_like(v) if v.grad is None else v.grad
    return {
        "mode": mode, "x": flat(x), "params": {k: flat(v) for k, v in params.items()}, "y": flat(y), "dy": flat(dy),
        "dx": flat(zero(x)), "grads": {k: flat(zero(v)) for k, v in params.items()},
    }


ACTIVATIONS = {
    "identity": lambda x: x, "relu": F.relu, "selu": F.selu, "gelu": F.gelu, "silu": F.silu, "tanh": torch.tanh,
    "sigmoid": torch.sigmoid, "softmax": lambda x: F.softmax(x, -1),
}


def dense():
    return {
        f"dense_{name}": case(lambda x, p: f(x @ p["weight"] + p["bias"]), single(7, 5),
                              {"weight": single(5, 19, scale=0.5), "bias": single(19)})
        for name, f in ACTIVATIONS.items()
    }


FILES = [dense]

if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for make in FILES:
        if len(sys.argv) == 1 or make.__name__ in sys.argv[1:]:
            torch.manual_seed(0)
            (here / f"{make.__name__}.json").write_text(json.dumps(make(), separators=(",", ":")) + "\n")
