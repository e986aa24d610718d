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


def case(forward, x, params, mode="train", has_dx=True):
    """The case of y = forward(x, params), with y's gradient drawn at random; x is rows, params a dictionary.
    Without has_dx the gradient of x, which the forward pass then cuts somewhere, is left out."""
    x = x.clone().requires_grad_(True)
    params = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in params.items()}
    y = forward(x, params)
    dy = single(*y.shape)
    y.backward(dy)
    zero = lambda v: torch.zeros_like(v) if v.grad is None else v.grad
    return {
        "mode": mode, "x": flat(x), "params": {k: flat(v) for k, v in params.items()}, "y": flat(y), "dy": flat(dy),
        "dx": flat(zero(x)) if has_dx else None, "grads": {k: flat(zero(v)) for k, v in params.items()},
    }


ACTIVATIONS = {
    "identity": lambda x: x, "relu": F.relu, "selu": F.selu, "gelu": F.gelu, "silu": F.silu, "tanh": torch.tanh,
    "sigmoid": torch.sigmoid, "softmax": lambda x: F.softmax(x, -1),
}


# Name, rows, inputs and outputs: odd ones, the least, and whole vectors of 16 with a rest.
SHAPES = ("", 7, 5, 19), ("_least", 1, 1, 1), ("_wide", 3, 37, 16)


def dense():
    return {
        f"dense_{name}{suffix}": case(lambda x, p: f(x @ p["weight"] + p["bias"]), single(n_rows, n_in),
                              {"weight": single(n_in, n_out, scale=0.5), "bias": single(n_out)})
        for suffix, n_rows, n_in, n_out in SHAPES for name, f in ACTIVATIONS.items()
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
    return {**members(4, 3, 5, 7, ""), **members(1, 1, 1, 1, "_least"), **members(3, 17, 33, 5, "_wide"), **piecewise_embedding()}


def members(k, n_in, n_out, n_rows, suffix):
    def ensemble(x, p):
        member = x.reshape(-1, 1 if x.shape[1] == n_in else k, n_in)
        return F.relu((member * p["r"]) @ p["weight"] * p["s"] + p["bias"]).reshape(len(x), -1)

    params = {"r": single(k, n_in), "weight": single(n_in, n_out), "s": single(k, n_out), "bias": single(k, n_out)}
    return {
        f"ensemble_first{suffix}": case(ensemble, single(n_rows, n_in), params),
        f"ensemble{suffix}": case(ensemble, single(n_rows, k * n_in), params),
        f"heads{suffix}": case(lambda x, p: (torch.einsum("nki,kio->nko", x.reshape(-1, k, n_in), p["weight"]) + p["bias"]).reshape(len(x), -1),
                               single(n_rows, k * n_in), {"weight": single(k, n_in, 2), "bias": single(k, 2)}),
        f"member_scale{suffix}": case(lambda x, p: (x[:, None] * p["r"]).reshape(len(x), -1), single(n_rows, n_in), {"r": single(k, n_in)}),
    }


def piecewise_embedding():
    def layer(edges):
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
        return piecewise

    def of(edges, n_rows, d):
        n, bins = len(edges), sum(len(e) - 1 for e in edges)
        return case(layer(edges), single(n_rows, n), {"slope": single(n, d), "bias": single(n, d), "weight": single(bins, d)})
    return {
        "piecewise": of([[-1.0, -0.25, 0.5, 1.0], [-0.5, 0.75], [-2.0, 0.0, 0.125]], 40, 4),
        "piecewise_one_row": of([[-1.0, -0.25, 0.5, 1.0]], 1, 17),
    }


def realmlp():
    def periodic(x, p):
        c = torch.cos(2 * torch.pi * p["frequency"] * x[..., None] + p["phase"])
        y = torch.einsum("njf,jfd->njd", c, p["weight"]) + p["bias"]
        return torch.cat([y, x[..., None]], 2).reshape(len(x), -1)

    cases = {}
    for suffix, n_rows, n, _ in SHAPES:
        cases |= {
            f"periodic{suffix}": case(periodic, single(n_rows, n), {
                "frequency": single(n, 5, scale=0.3), "phase": single(n, 5), "weight": single(n, 5, 3), "bias": single(n, 3)}),
            f"scale{suffix}": case(lambda x, p: x * p["scale"], single(n_rows, n), {"scale": single(n)}),
            f"bias{suffix}": case(lambda x, p: 0.5 * x + p["bias"], single(n_rows, n), {"bias": single(n)}),
            f"selu{suffix}": case(lambda x, p: x + p["alpha"] * (F.selu(x) - x), single(n_rows, n), {"alpha": single(n)}),
        }
    return cases


def embedding():
    def rows(n_passed):
        codes = torch.tensor([[0, 1], [4, 0], [4, 1], [2, 0], [0, 0], [-1, 1], [5, 7]]).double()
        return torch.cat([single(7, n_passed), codes], 1)

    def forward(n_passed):
        def look_up(table, code):
            known = (code >= 0) & (code < len(table))
            return F.embedding(torch.where(known, code, 0).long(), table) * known[:, None]
        return lambda x, p: torch.cat([x[:, :n_passed]] + [
            look_up(p[f"table{i}"], x[:, n_passed + i].detach()) for i in range(2)], 1)
    return {
        f"embedding_after_{n}": case(forward(n), rows(n), {"table0": single(5, 3), "table1": single(2, 17)})
        for n in (0, 4)
    }


def layer_norm():
    return {
        f"layer_norm_{n}": case(lambda x, p: F.layer_norm(x, (n,), p["gain"], p["shift"]), single(7, n) + 0.5,
                                {"gain": single(n), "shift": single(n)})
        for n in (5, 16, 37)
    }


def sequences(n_rows, n_steps, n_features, has_lengths):
    """Rows of sequences and their lengths; where they differ, the last column of the rows."""
    x = single(n_rows, n_steps * n_features)
    lengths = torch.arange(n_rows) % n_steps + 1 if has_lengths else torch.full((n_rows,), n_steps)
    return (torch.cat([x, lengths[:, None].double()], 1) if has_lengths else x), lengths


def recurrent(kind, n_gates, module_params, **options):
    """The cases of a recurrent layer; module_params(p) gives PyTorch's parameters from ours."""
    def forward(n_features, n_hidden, lengths, has_lengths, states):
        module = kind(n_features, n_hidden, batch_first=True, **options).double()

        def run(x, p):
            x = x[:, :4 * n_features].reshape(-1, 4, n_features)
            x = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            y, last = torch.func.functional_call(module, module_params(p), (x,))
            last = last[0] if isinstance(last, tuple) else last
            if states == "last":
                return last[0]
            y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=4)
            y = y.reshape(len(lengths), -1)
            return torch.cat([y, lengths[:, None].double()], 1) if has_lengths else y
        return run

    def params(n_hidden):
        p = {"input_weight": single(3, n_gates * n_hidden, scale=0.5),
             "recurrent_weight": single(n_hidden, n_gates * n_hidden, scale=0.5), "bias": single(n_gates * n_hidden)}
        if kind is torch.nn.GRU:
            p["recurrent_bias"] = single(n_hidden)
        return p
    cases = {}
    for name, n_hidden in (("last", 5), ("all", 17), ("last_lengths", 17), ("all_lengths", 5)):
        has_lengths, states = "lengths" in name, name.split("_")[0]
        x, lengths = sequences(6, 4, 3, has_lengths)
        cases[name] = case(forward(3, n_hidden, lengths, has_lengths, states), x, params(n_hidden))
    return cases


def one_bias(p):
    return {"weight_ih_l0": p["input_weight"].T, "weight_hh_l0": p["recurrent_weight"].T, "bias_ih_l0": p["bias"],
            "bias_hh_l0": torch.zeros_like(p["bias"])}


def lstm():
    return {f"lstm_{k}": v for k, v in recurrent(torch.nn.LSTM, 4, one_bias).items()}


def gru():
    def two_biases(p):
        n = len(p["recurrent_bias"])
        return {**one_bias(p), "bias_hh_l0": torch.cat([torch.zeros(2 * n).double(), p["recurrent_bias"]])}
    return {f"gru_{k}": v for k, v in recurrent(torch.nn.GRU, 3, two_biases).items()}


def rnn():
    return {f"rnn_{f}_{k}": v for f in ("tanh", "relu")
            for k, v in recurrent(torch.nn.RNN, 1, one_bias, nonlinearity=f).items()}


def conv1d():
    def forward(kernel, around, lengths, has_lengths, f):
        def run(x, p):
            x = x[:, :15].reshape(-1, 5, 3)
            x = x * (torch.arange(5)[None] < lengths[:, None])[..., None]
            y = F.conv1d(F.pad(x.transpose(1, 2), around), p["weight"].reshape(kernel, 3, 17).permute(2, 1, 0), p["bias"])
            y = f(y.transpose(1, 2))
            counted = (lengths + sum(around) + 1 - kernel).clamp(min=0)
            y = y * (torch.arange(y.shape[1])[None] < counted[:, None])[..., None]
            y = y.reshape(len(x), -1)
            return torch.cat([y, counted[:, None].double()], 1) if has_lengths else y
        return run
    cases = {}
    for name, kernel, around, f in (
            ("one", 1, (0, 0), "identity"), ("valid_2", 2, (0, 0), "tanh"), ("same_3", 3, (1, 1), "relu"),
            ("same_4", 4, (1, 2), "gelu"), ("causal_3", 3, (2, 0), "identity"), ("same_3_lengths", 3, (1, 1), "gelu"),
            ("valid_3_lengths", 3, (0, 0), "tanh")):
        has_lengths = "lengths" in name
        x, lengths = sequences(6, 5, 3, has_lengths)
        params = {"weight": single(kernel * 3, 17, scale=0.5), "bias": single(17)}
        cases[f"conv1d_{name}"] = case(forward(kernel, around, lengths, has_lengths, ACTIVATIONS[f]), x, params)
    return cases


def pool():
    poolings = {"max": (F.max_pool1d, F.max_pool2d), "average": (F.avg_pool1d, F.avg_pool2d)}

    def image(f, size, stride):
        return lambda x, p: f(x.reshape(-1, 5, 4, 3).permute(0, 3, 1, 2), size, stride).permute(0, 2, 3, 1).reshape(len(x), -1)

    def one(f, row, length):
        return f(row[:length * 3].reshape(1, length, 3).transpose(1, 2)).transpose(1, 2).reshape(-1)

    def steps(f, size, stride, lengths, has_lengths):
        out = (7 - size) // stride + 1

        def run(x, p):
            rows = []
            for row, length in zip(x, lengths.tolist()):
                y = one(lambda v: f(v, size, stride), row, length) if length >= size else row[:0]
                counted = torch.tensor([len(y) // 3]).double() if has_lengths else row[:0]
                rows.append(torch.cat([F.pad(y, (0, out * 3 - len(y))), counted]))
            return torch.stack(rows)
        return run

    def over_all(f, lengths):
        return lambda x, p: torch.stack([one(lambda v: f(v, length), row, length) for row, length in zip(x, lengths.tolist())])
    cases = {}
    for name, (f1, f2) in poolings.items():
        for size, stride in ((2, 2), (2, 2)), ((3, 2), (1, 2)):
            cases[f"image_{size[0]}_{stride[0]}_{name}"] = case(image(f2, size, stride), single(6, 60), {})
        for suffix in ("", "_lengths"):
            x, lengths = sequences(8, 7, 3, bool(suffix))
            cases[f"global_{name}{suffix}"] = case(over_all(f1, lengths), x, {})
            for size, stride in (2, 2), (3, 1):
                x, lengths = sequences(8, 7, 3, bool(suffix))
                cases[f"steps_{size}_{stride}_{name}{suffix}"] = case(steps(f1, size, stride, lengths, bool(suffix)), x, {})
    return cases


def batch_norm():
    def norm(training):
        return lambda x, p: F.batch_norm(x, p["mean"].detach().clone(), p["variance"].detach().clone(), p["gain"], p["shift"], training)
    params = lambda n: {"gain": single(n), "shift": single(n), "mean": single(n), "variance": single(n).abs() + 0.5}
    return {
        "batch_norm_train": case(norm(True), single(9, 19) + 0.5, params(19)),
        "batch_norm_train_narrow": case(norm(True), single(9, 1) + 0.5, params(1)),
        "batch_norm_evaluate": case(norm(False), single(9, 17) + 0.5, params(17), "evaluate"),
    }


def counted_steps(x, n_steps, n_features, has_lengths):
    """The steps of rows (rows × steps × features), and 1 for those that count, else 0 (rows × steps × 1)."""
    lengths = x[:, -1].detach() if has_lengths else torch.full((len(x),), n_steps)
    return x[:, :n_steps * n_features].reshape(-1, n_steps, n_features), (torch.arange(n_steps)[None] < lengths[:, None])[..., None]


def rows_of(steps, x, has_lengths):
    rows = steps.reshape(len(x), -1)
    return torch.cat([rows, x[:, -1:].detach()], 1) if has_lengths else rows


def residual():
    def forward(has_lengths):
        def run(x, p):
            steps, counted = counted_steps(x, 4, 5, has_lengths)
            return rows_of((steps + F.gelu(steps @ p["weight"] + p["bias"])) * counted, x, has_lengths)
        return run
    return {
        name: case(forward(has_lengths), sequences(6, 4, 5, has_lengths)[0], {"weight": single(5, 5, scale=0.5), "bias": single(5)})
        for name, has_lengths in (("residual", False), ("residual_lengths", True))
    }


def attention():
    def forward(width, n_heads, has_lengths):
        def run(x, p):
            steps, counted = counted_steps(x, 4, width, has_lengths)
            steps = steps.transpose(0, 1)
            y, _ = F.multi_head_attention_forward(
                steps, steps, steps, width, n_heads, p["weight"].T, p["bias"], None, None, False, 0.0,
                p["out_weight"].T, p["out_bias"], key_padding_mask=~counted[..., 0])
            return rows_of(y.transpose(0, 1) * counted, x, has_lengths)
        return run
    return {
        f"attention_{name}": case(forward(width, n_heads, has_lengths), sequences(6, 4, width, has_lengths)[0], {
            "weight": single(width, 3 * width, scale=width ** -0.5), "bias": single(3 * width),
            "out_weight": single(width, width, scale=width ** -0.5), "out_bias": single(width)})
        for name, width, n_heads, has_lengths in (
            ("one_head", 5, 1, False), ("heads", 6, 3, False), ("lengths", 6, 2, True), ("wide_lengths", 20, 2, True))
    }


def conv2d():
    def forward(kernel, stride, padding, f):
        def run(x, p):
            weight = p["weight"].reshape(*kernel, 2, 7).permute(3, 2, 0, 1)
            y = F.conv2d(x.reshape(-1, 5, 4, 2).permute(0, 3, 1, 2), weight, p["bias"], stride, padding)
            return f(y.permute(0, 2, 3, 1)).reshape(len(x), -1)
        return run
    return {
        f"conv2d_{name}": case(forward(kernel, stride, padding, ACTIVATIONS[f]), single(6, 40), {
            "weight": single(kernel[0] * kernel[1] * 2, 7, scale=0.5), "bias": single(7)})
        for name, kernel, stride, padding, f in (
            ("valid", (2, 3), (1, 1), (0, 0), "tanh"), ("same", (3, 3), (1, 1), (1, 1), "gelu"),
            ("strides", (3, 2), (2, 3), (2, 1), "identity"), ("whole", (5, 4), (1, 1), (0, 0), "sigmoid"))
    }


def transformer():
    def forward(has_lengths):
        block = torch.nn.TransformerEncoderLayer(6, 2, 17, 0.0, "gelu", batch_first=True, norm_first=True).double()

        def run(x, p):
            steps, counted = counted_steps(x, 4, 6, has_lengths)
            names = {"self_attn.in_proj_weight": "attention.weight", "self_attn.in_proj_bias": "attention.bias",
                     "self_attn.out_proj.weight": "attention.out_weight", "self_attn.out_proj.bias": "attention.out_bias",
                     "linear1.weight": "wide.weight", "linear1.bias": "wide.bias", "linear2.weight": "narrow.weight",
                     "linear2.bias": "narrow.bias", "norm1.weight": "norm1.gain", "norm1.bias": "norm1.shift",
                     "norm2.weight": "norm2.gain", "norm2.bias": "norm2.shift"}
            values = {theirs: p[ours].T if p[ours].ndim == 2 else p[ours] for theirs, ours in names.items()}
            y = torch.func.functional_call(block, values, (steps,), {"src_key_padding_mask": ~counted[..., 0]})
            return rows_of(y * counted, x, has_lengths)
        return run

    def params():
        return {
            "norm1.gain": single(6), "norm1.shift": single(6), "attention.weight": single(6, 18, scale=0.4),
            "attention.bias": single(18), "attention.out_weight": single(6, 6, scale=0.4), "attention.out_bias": single(6),
            "norm2.gain": single(6), "norm2.shift": single(6), "wide.weight": single(6, 17, scale=0.4),
            "wide.bias": single(17), "narrow.weight": single(17, 6, scale=0.3), "narrow.bias": single(6)}
    return {name: case(forward(has_lengths), sequences(6, 4, 6, has_lengths)[0], params())
            for name, has_lengths in (("transformer", False), ("transformer_lengths", True))}


def network():
    """Whole networks, their parameters under the crate's full names; TabM's are computed by its authors' package."""
    import rtdl_num_embeddings
    import tabm as authors

    def tutorial(x, p):
        for i in range(2):
            x = F.relu(x @ p[f"hidden{i}.weight"] + p[f"hidden{i}.bias"])
        return x @ p["output.weight"] + p["output.bias"]

    def realmlp(x, p):
        cosines = torch.cos(2 * torch.pi * p["number.frequency"] * x[:, :3, None] + p["number.phase"])
        h = torch.einsum("njf,jfd->njd", cosines, p["number.weight"]) + p["number.bias"]
        h = torch.cat([torch.cat([h, x[:, :3, None]], 2).flatten(1), x[:, 3:]], 1) * p["scale.scale"]
        for name in ("hidden0", "hidden1", "output"):
            weight = p[f"{name}.weight"]
            h = h @ weight / len(weight) ** 0.5 + p[f"{name}.bias"]
            if name != "output":
                h = h + p[f"{name}.alpha"] * (F.selu(h) - h)
        return h

    edges, k, width, d = torch.tensor([-1.0, -0.25, 0.5, 1.0]), 4, 7, 4

    def with_embeddings(x, p):
        embed = rtdl_num_embeddings.PiecewiseLinearEmbeddings([edges] * 3, d, activation=False, version="B")
        model = authors.TabM.make(n_num_features=3, cat_cardinalities=[3], d_out=1, k=k, n_blocks=2, d_block=width, dropout=0.0, num_embeddings=embed)
        values = {"num_module.linear0.weight": p["embedding.slope"], "num_module.linear0.bias": p["embedding.bias"],
                  "num_module.linear.weight": p["embedding.weight"].reshape(3, 3, d),
                  "output.weight": p["heads.weight"], "output.bias": p["heads.bias"]}
        for i in range(2):
            values |= {f"backbone.blocks.{i}.0.{part}": p[f"block{i}.{part}"] for part in ("r", "s", "bias")}
            values[f"backbone.blocks.{i}.0.weight"] = p[f"block{i}.weight"].T
        return members_of(model, values, x)

    def mini(x, p):
        model = authors.TabM.make(arch_type="tabm-mini", n_num_features=3, cat_cardinalities=[3], d_out=1, k=k, n_blocks=2, d_block=width, dropout=0.0)
        values = {"backbone.affine.weight": p["first.r"], "output.weight": p["heads.weight"], "output.bias": p["heads.bias"]}
        for i in range(2):
            values |= {f"backbone.blocks.{i}.0.weight": p[f"block{i}.weight"].T, f"backbone.blocks.{i}.0.bias": p[f"block{i}.bias"]}
        return members_of(model, values, x)

    def members_of(model, values, x):
        y = torch.func.functional_call(model.double(), values, (x[:, :3], x[:, 3:].detach().argmax(1)[:, None]))
        return y.reshape(len(x), -1)

    def rows(n):
        return torch.cat([single(n, 3), F.one_hot(torch.arange(n) % 3, 3).double()], 1)

    def dense(name, n_in, n_out):
        return {f"{name}.weight": single(n_in, n_out, scale=n_in ** -0.5), f"{name}.bias": single(n_out)}

    def block(name, n_in):
        return {f"{name}.r": single(k, n_in), f"{name}.weight": single(n_in, width, scale=0.4), f"{name}.s": single(k, width), f"{name}.bias": single(k, width)}

    heads = {"heads.weight": single(k, width, 1), "heads.bias": single(k, 1)}
    embedding = {"embedding.slope": single(3, d), "embedding.bias": single(3, d), "embedding.weight": single(9, d)}
    periodic = {"number.frequency": single(3, 16, scale=0.3), "number.phase": single(3, 16), "number.weight": single(3, 16, 3, scale=0.3), "number.bias": single(3, 3)}
    alphas = {"scale.scale": single(15), "hidden0.alpha": single(8), "hidden1.alpha": single(8)}
    return {
        "tutorial": case(tutorial, rows(9), dense("hidden0", 6, 64) | dense("hidden1", 64, 32) | dense("output", 32, 1)),
        "tabm": case(with_embeddings, rows(9), embedding | block("block0", 15) | block("block1", width) | heads, has_dx=False),
        "tabm_mini": case(mini, rows(9), {"first.r": single(k, 6)} | dense("block0", 6, width) | dense("block1", width, width) | heads, has_dx=False),
        "realmlp": case(realmlp, rows(9), periodic | alphas | dense("hidden0", 15, 8) | dense("hidden1", 8, 8) | dense("output", 8, 1)),
    }


FILES = [dense, loss, optimizer, tabm, realmlp,
         embedding, layer_norm, lstm, gru, rnn, conv1d, pool,
         batch_norm, residual, attention, conv2d, transformer, network]

if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for make in FILES:
        if len(sys.argv) == 1 or make.__name__ in sys.argv[1:]:
            torch.manual_seed(0)
            (here / f"{make.__name__}.json").write_text(json.dumps(make(), separators=(",", ":")) + "\n")
