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


def loss():
    n, scale = 6, 0.25
    weight = torch.tensor([1.0, 0.5, 2.0, 1.0, 0.25, 3.0]).double()
    binary, classes = torch.tensor([0.0, 1, 1, 0, 1, 0]).double(), torch.tensor([0, 2, 1, 1, 2, 0])
    value = single(n)

    def of(f, y, target, weight=weight):
        y = y.clone().requires_grad_(True)
        total = scale * (weight * f(y, target)).sum()
        total.backward()
        return {"y": flat(y), "target": flat(target.double()), "weight": flat(weight), "loss": float(total.detach()), "dy": flat(y.grad)}

    bce = lambda y, t: F.binary_cross_entropy_with_logits(y[:, 0], t, reduction="none")
    factor = lambda t: torch.where(t > 0.5, 2.0, 0.5).double()

    def focal(y, t):
        p = torch.where(t > 0.5, torch.sigmoid(y[:, 0]), torch.sigmoid(-y[:, 0]))
        return factor(t) * -(1 - p) ** 2 * p.log()

    def focal_classes(y, t):
        p = F.softmax(y, -1).gather(1, t[:, None])[:, 0]
        return -(1 - p) ** 2 * p.log()

    levels = torch.tensor([0.1, 0.5, 0.75]).float().double()
    pinball = lambda y, t: torch.maximum(levels * (t[:, None] - y), (levels - 1) * (t[:, None] - y)).mean(1)
    ce = lambda **options: lambda y, t: F.cross_entropy(y, t, reduction="none", **options)
    one, three = single(n, 1, scale=2.0), single(n, 3, scale=2.0)
    return {
        "binary": of(bce, one, binary),
        "binary_weights": of(lambda y, t: factor(t) * bce(y, t), one, binary),
        "binary_smoothing": of(lambda y, t: bce(y, t * 0.75 + 0.125), one, binary),
        "binary_focal": of(focal, one, binary),
        "classes": of(ce(), three, classes),
        "classes_weights": of(ce(weight=torch.tensor([0.5, 1.0, 2.0]).double()), three, classes),
        "classes_smoothing": of(ce(label_smoothing=0.25), three, classes),
        "classes_focal": of(focal_classes, three, classes),
        "squared": of(lambda y, t: (y[:, 0] - t) ** 2, one, value),
        "absolute": of(lambda y, t: (y[:, 0] - t).abs(), one, value),
        "huber": of(lambda y, t: F.huber_loss(y[:, 0], t, delta=0.5, reduction="none"), one, value),
        "quantile": of(pinball, three, value),
        "binary_members": of(lambda y, t: F.binary_cross_entropy_with_logits(y, t[:, None].expand(-1, 3), reduction="none").mean(1), three, binary),
    }


def optimizer():
    """Three parameters, the last without weight decay, under ten gradients; values after each step."""
    start, grads = single(3), single(10, 3)
    rate, decay = 0.05, 0.1
    makers = {
        "descent": lambda g: torch.optim.SGD(g(0), lr=rate),
        "momentum": lambda g: torch.optim.SGD(g(0), lr=rate, momentum=0.9),
        "adam": lambda g: torch.optim.Adam(g(0), lr=rate),
        "adamw": lambda g: torch.optim.AdamW(g(decay), lr=rate),
        "adamw_clip": lambda g: torch.optim.AdamW(g(decay), lr=rate),
    }
    out = {"start": flat(start), "grads": flat(grads)}
    for name, maker in makers.items():
        a, b = start[:2].clone().requires_grad_(True), start[2:].clone().requires_grad_(True)
        optimizer = maker(lambda d: [{"params": [a], "weight_decay": d}, {"params": [b], "weight_decay": 0.0, "lr": rate / 2}])
        steps = []
        for g in grads:
            a.grad, b.grad = g[:2].clone(), g[2:].clone()
            if name.endswith("clip"):
                torch.nn.utils.clip_grad_norm_([a, b], 1.0)
            optimizer.step()
            steps += flat(torch.cat([a, b]))
        out[name] = steps
    return out


def tabm():
    k, n_in, n_out = 4, 3, 5

    def ensemble(x, p):
        member = x.reshape(-1, 1 if x.shape[1] == n_in else k, n_in)
        return F.relu((member * p["r"]) @ p["weight"] * p["s"] + p["bias"]).reshape(len(x), -1)

    edges = [[-1.0, -0.25, 0.5, 1.0], [-0.5, 0.75], [-2.0, 0.0, 0.125]]

    def piecewise(x, p):
        out, first = [], 0
        for j, e in enumerate(edges):
            e = torch.tensor(e).double()
            c = (x[:, j, None] - e[:-1]) / (e[1:] - e[:-1])
            n = c.shape[1]
            if n > 1:
                c = torch.cat([c[:, :1].clamp(max=1)] + [c[:, i:i + 1].clamp(0, 1) for i in range(1, n - 1)] + [c[:, -1:].clamp(min=0)], 1)
            out.append(x[:, j, None] * p["slope"][j] + p["bias"][j] + c @ p["weight"][first:first + n])
            first += n
        return torch.cat(out, 1)

    params = {"r": single(k, n_in), "weight": single(n_in, n_out), "s": single(k, n_out), "bias": single(k, n_out)}
    return {
        "ensemble_first": case(ensemble, single(7, n_in), params),
        "ensemble": case(ensemble, single(7, k * n_in), params),
        "heads": case(lambda x, p: (torch.einsum("nki,kio->nko", x.reshape(-1, k, n_in), p["weight"]) + p["bias"]).reshape(len(x), -1),
                      single(7, k * n_in), {"weight": single(k, n_in, 2), "bias": single(k, 2)}),
        "member_scale": case(lambda x, p: (x[:, None] * p["r"]).reshape(len(x), -1), single(7, n_in), {"r": single(k, n_in)}),
        "piecewise": case(piecewise, single(40, 3), {"slope": single(3, 4), "bias": single(3, 4), "weight": single(6, 4)}),
    }


def realmlp():
    codes = torch.tensor([[0.0, 4], [2, 4], [1, 0], [2, 3], [0, 0]]).double()

    def embedding(x, p):
        return torch.cat([p["tables"][x[:, 0].long()], p["tables"][3 + x[:, 1].long()]], 1) + 0 * x.sum()

    def periodic(x, p):
        c = torch.cos(2 * torch.pi * p["frequency"] * x[..., None] + p["phase"])
        y = torch.einsum("njf,jfd->njd", c, p["weight"]) + p["bias"]
        return torch.cat([y, x[..., None]], 2).reshape(len(x), -1)

    return {
        "embedding": case(embedding, codes, {"tables": single(8, 4)}),
        "periodic": case(periodic, single(7, 3), {"frequency": single(3, 5, scale=0.3), "phase": single(3, 5),
                                                 "weight": single(3, 5, 3), "bias": single(3, 3)}),
        "scale": case(lambda x, p: x * p["scale"], single(7, 5), {"scale": single(5)}),
        "bias": case(lambda x, p: 0.5 * x + p["bias"], single(7, 5), {"bias": single(5)}),
        "selu": case(lambda x, p: x + p["alpha"] * (F.selu(x) - x), single(7, 5), {"alpha": single(5)}),
    }


FILES = [dense, loss, optimizer, tabm, realmlp]

if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for make in FILES:
        if len(sys.argv) == 1 or make.__name__ in sys.argv[1:]:
            torch.manual_seed(0)
            (here / f"{make.__name__}.json").write_text(json.dumps(make(), separators=(",", ":")) + "\n")
