"""Writes math_table.txt beside it: lines of function, argument, value and remainder, as the hexadecimal bits of f64.

The value is the f64 nearest to the true one and the remainder what is missing, so errors can be measured in fractions of
a unit in the last place. Needs mpmath.
"""

import math
import random
import struct
from pathlib import Path

import mpmath

mpmath.mp.prec = 2400  # enough for 1 + e^-745


def bits(x):
    return struct.pack(">d", x).hex()


def around(x, steps=1):
    out = [x]
    up = down = x
    for _ in range(steps):
        up, down = math.nextafter(up, math.inf), math.nextafter(down, -math.inf)
        out += [up, down]
    return out


random.seed(20261121)
signs = [1.0, -1.0]
small = [s * 10.0 ** random.uniform(-320, -3) for s in signs for _ in range(12)] + [5e-324, -5e-324, 2.3e-308]
middle = [random.uniform(-3, 3) for _ in range(120)] + [random.uniform(-40, 40) for _ in range(80)]
half_ln2 = [y for k in range(-5, 6) for y in around((k + 0.5) * math.log(2))]
ARGUMENTS = {
    "exp": small + middle + half_ln2 + [random.uniform(-745.1, 709.7) for _ in range(120)]
    + around(709.782712893384, 1) + around(-745.13321910194, 1) + around(-708.3964185322641, 2),
    "ln": [abs(x) for x in small if x] + [random.uniform(0.5, 2) for _ in range(120)]
    + [10.0 ** random.uniform(-323, 308) for _ in range(80)]
    + [y for k in (-1022, -3, -1, 0, 1, 2, 1023) for y in around(2.0**k, 2)]
    + [y for k in (-2, -1, 0, 1) for y in around(math.sqrt(0.5) * 2.0**k, 2)]
    + [1 + s * 2.0 ** -random.uniform(2, 50) for s in signs for _ in range(30)] + [1.7976931348623157e308],
    "tanh": small + middle + half_ln2 + [y / 2 for y in half_ln2] + around(19.06, 1) + around(20.0, 1) + [700.0, -1e300],
    "sigmoid": small + middle + half_ln2 + [random.uniform(-745, 40) for _ in range(80)] + [-745.13, -744.5, 800.0],
}
EXACT = {
    "exp": mpmath.exp,
    "ln": mpmath.log,
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
}

lines = []
for name, arguments in ARGUMENTS.items():
    for x in arguments:
        true = EXACT[name](mpmath.mpf(x))
        if abs(true) > mpmath.mpf("1.79769313486231580793e308"):
            lines.append(f"{name} {bits(x)} {bits(math.inf)} {bits(0.0)}")
            continue
        near = float(true)
        lines.append(f"{name} {bits(x)} {bits(near)} {bits(float(true - mpmath.mpf(near)))}")
Path(__file__).with_suffix(".txt").write_text("\n".join(lines) + "\n")
