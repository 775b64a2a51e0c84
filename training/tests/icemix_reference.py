"""IceMix once more, for one event, in double precision, pulse by pulse: slow, and nothing shared with the package.

What it says follows the published description step by step, relations and edges included as they are described there,
so that the fast forms of icemix.py and icemix_graph.py are compared with something else than themselves.
"""

import math

import numpy as np

State = dict[str, np.ndarray]


def answer(state: State, event: dict, head: int, n_rel: int, first_columns: int = 0) -> np.ndarray:
    """The network's three numbers. `event` holds pos [L, 3], charge, time, auxiliary [L], count and, with a graph
    (`first_columns` above 0), qe [L] and ice_properties [L, 2]."""
    state = {key: value.astype(np.float64) for key, value in state.items()}
    x = extract(state, event)
    if first_columns:
        nodes = np.column_stack(
            [event["pos"], event["time"], event["auxiliary"], event["qe"], event["charge"], event["ice_properties"]]
        )
        x = np.concatenate([x, local_root(state, nodes, event["count"], first_columns)], axis=1)
    relation = relations(state, event, head)
    for i in range(count_of(state, "sandwich")):
        x = relation_block(state, f"sandwich.{i}.", x, relation if i < n_rel else None, head)
    x = np.concatenate([state["cls_token.weight"], x])
    for i in range(count_of(state, "blocks")):
        x = block(state, f"blocks.{i}.", x, head)
    return linear(state, "proj_out.", x[0])


def extract(state: State, event: dict) -> np.ndarray:
    base = 2 * state["extractor.aux_emb.weight"].shape[1]
    tokens = []
    for i in range(len(event["time"])):
        parts = [scaled(state, "pos", waves(4096 * axis, base)) for axis in event["pos"][i]]
        parts.append(scaled(state, "emb_charge", waves(1024 * event["charge"][i], base)))
        parts.append(scaled(state, "time", waves(4096 * event["time"][i], base)))
        parts.append(state["extractor.aux_emb.weight"][int(event["auxiliary"][i])])
        parts.append(scaled(state, "emb2", waves(math.log10(event["count"]), base // 2)))
        tokens.append(np.concatenate(parts))
    return sequential(state, "extractor.proj.", np.array(tokens), ("linear", "norm", "gelu", "linear"))


def scaled(state: State, name: str, values: np.ndarray) -> np.ndarray:
    return values * state.get(f"extractor.{name}.scale", np.ones(1))


def waves(x: float, dim: int) -> np.ndarray:
    """Frequencies and arguments as float32 holds them: phases of 4,000 rad feel their rounding."""
    half = dim // 2
    frequencies = np.exp((np.arange(half, dtype=np.float32) * np.float32(-math.log(10_000) / half)).astype(np.float32))
    angles = (np.float32(x) * frequencies).astype(np.float64)
    return np.concatenate([np.sin(angles), np.cos(angles)])


def relations(state: State, event: dict, head: int) -> np.ndarray:
    pos, time = event["pos"].astype(np.float32), event["time"].astype(np.float32)
    length = len(time)
    relation = np.zeros((length, length, head))
    for i in range(length):
        for j in range(length):
            apart = pos[i] - pos[j]
            squares = apart[0] * apart[0] + apart[1] * apart[1] + apart[2] * apart[2]
            later = (time[i] - time[j]) * np.float32(30_000 / 500 * 0.3)
            interval2 = np.float32(squares - later * later)
            interval = np.sign(interval2) * np.sqrt(np.abs(interval2))
            relation[i, j] = linear(state, "rel_pos.proj.", waves(1024 * np.clip(interval, -4, 4), head))
    return relation


def relation_block(state: State, key: str, x: np.ndarray, relation: np.ndarray | None, head: int) -> np.ndarray:
    normed = norm(state, f"{key}norm1.", x)
    q, k, v = (normed @ state[f"{key}attn.proj_{name}.weight"].T for name in "qkv")
    mixed = np.zeros_like(x)
    for h in range(x.shape[1] // head):
        columns = slice(h * head, (h + 1) * head)
        for i in range(len(x)):
            asked = q[i, columns] * head**-0.5
            keys, values = k[:, columns], v[:, columns]
            if relation is not None:
                keys, values = keys + relation[i], values + relation[i]
            mixed[i, columns] = softmax(keys @ asked) @ values
    x = x + linear(state, f"{key}attn.proj.", mixed)
    return x + sequential(state, f"{key}mlp.", norm(state, f"{key}norm2.", x), (), "fc")


def block(state: State, key: str, x: np.ndarray, head: int) -> np.ndarray:
    dim = x.shape[1]
    packed = norm(state, f"{key}norm1.", x) @ state[f"{key}attn.in_proj_weight"].T + state[f"{key}attn.in_proj_bias"]
    q, k, v = packed[:, :dim], packed[:, dim : 2 * dim], packed[:, 2 * dim :]
    mixed = np.zeros_like(x)
    for h in range(dim // head):
        columns = slice(h * head, (h + 1) * head)
        for i in range(len(x)):
            mixed[i, columns] = softmax(k[:, columns] @ q[i, columns] / math.sqrt(head)) @ v[:, columns]
    x = x + state[f"{key}gamma_1"] * linear(state, f"{key}attn.out_proj.", mixed)
    return x + state[f"{key}gamma_2"] * sequential(state, f"{key}mlp.", norm(state, f"{key}norm2.", x), (), "fc")


def local_root(state: State, nodes: np.ndarray, count: int, first_columns: int) -> np.ndarray:
    edges = nearest(nodes[:, :first_columns])
    shares = [np.mean([nodes[i, c] == nodes[j, c] for i, j in edges]) if edges else 0.0 for c in range(4)]
    whole = np.concatenate([nodes.astype(np.float64).mean(0), shares, [math.log10(count)]])
    x = np.array([np.concatenate([node, whole]) for node in nodes])
    layers = [x]
    for layer in range(4):
        if layer > 0:
            edges = nearest(x[:, :3])
        x = edge_convolution(state, f"local_root._conv_layers.{layer}.nn.", x, edges)
        layers.append(x)
    steps = ("linear", "norm", "gelu", "linear", "norm", "gelu")
    return sequential(state, "local_root._post_processing.", np.concatenate(layers, axis=1), steps)


def nearest(points: np.ndarray) -> list[tuple[int, int]]:
    """(pulse, neighbour): the nine nearest, ties to the earlier row, without the pulse itself."""
    edges = []
    for i in range(len(points)):
        distances = [sum((a - b) * (a - b) for a, b in zip(points[i], other, strict=True)) for other in points]
        order = sorted(range(len(points)), key=lambda j: (distances[j], j))[:9]
        edges += [(i, j) for j in order if j != i]
    return edges


def edge_convolution(state: State, key: str, x: np.ndarray, edges: list[tuple[int, int]]) -> np.ndarray:
    out = np.zeros((len(x), state[f"{key}3.weight"].shape[0]))
    steps = ("linear", "norm", "gelu", "linear", "norm", "gelu")
    for i, j in edges:
        out[i] += sequential(state, key, np.concatenate([x[i], x[j] - x[i]]), steps)
    return out


def sequential(state: State, key: str, x: np.ndarray, steps: tuple[str, ...], mlp: str = "") -> np.ndarray:
    if mlp:
        return linear(state, f"{key}{mlp}2.", gelu(linear(state, f"{key}{mlp}1.", x)))
    for i, step in enumerate(steps):
        x = gelu(x) if step == "gelu" else {"linear": linear, "norm": norm}[step](state, f"{key}{i}.", x)
    return x


def linear(state: State, key: str, x: np.ndarray) -> np.ndarray:
    return x @ state[f"{key}weight"].T + state[f"{key}bias"]


def norm(state: State, key: str, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * state[f"{key}weight"] + state[f"{key}bias"]


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def count_of(state: State, name: str) -> int:
    return 1 + max(int(key.split(".")[1]) for key in state if key.startswith(f"{name}."))
