"""Run a SavedModel through TensorFlow's C API, the runtime under TensorFlow Serving, without Python TensorFlow.

    python -I c_api.py LIBRARY SAVED_MODEL < REQUEST > ANSWER

The request is `{"inputs": {tensor name: [kind, shape, values]}, "outputs": [tensor name, …]}` with the kinds string,
int64, int32 and float32; the answer is `{tensor name: [shape, values]}`.
"""

import ctypes
import json
import math
import sys
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p

KINDS = {
    "float32": (1, ctypes.c_float),
    "int32": (3, ctypes.c_int32),
    "string": (7, None),
    "int64": (9, ctypes.c_int64),
}
STRING_SIZE = 24  # sizeof(TF_TString)


class Output(ctypes.Structure):
    _fields_ = [("operation", c_void_p), ("index", c_int)]


class TensorFlow:
    def __init__(self, library: str):
        self.library = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
        self.status = self.call("NewStatus", c_void_p)

    def call(self, name: str, result: object, *arguments: object) -> object:
        function = getattr(self.library, f"TF_{name}")
        function.restype = result
        return function(*arguments)

    def check(self) -> None:
        if self.call("GetCode", c_int, c_void_p(self.status)):
            raise RuntimeError(self.call("Message", c_char_p, c_void_p(self.status)).decode())

    def load(self, path: str) -> None:
        self.graph = self.call("NewGraph", c_void_p)
        options = self.call("NewSessionOptions", c_void_p)
        tags = (c_char_p * 1)(b"serve")
        self.session = self.call(
            "LoadSessionFromSavedModel",
            c_void_p,
            c_void_p(options),
            None,
            c_char_p(path.encode()),
            tags,
            c_int(1),
            c_void_p(self.graph),
            None,
            c_void_p(self.status),
        )
        self.check()

    def output(self, name: str) -> Output:
        operation, _, index = name.partition(":")
        found = self.call("GraphOperationByName", c_void_p, c_void_p(self.graph), c_char_p(operation.encode()))
        assert found, f"no operation {operation}"
        return Output(found, int(index))

    def tensor(self, kind: str, shape: list[int], values: list) -> int:
        number, element = KINDS[kind]
        size = ctypes.sizeof(element) if element else STRING_SIZE
        dims = (c_int64 * len(shape))(*shape)
        count = math.prod(shape)
        assert count == len(values)
        tensor = self.call("AllocateTensor", c_void_p, c_int(number), dims, c_int(len(shape)), c_size_t(size * count))
        data = self.call("TensorData", c_void_p, c_void_p(tensor))
        if element and count:
            ctypes.memmove(data, (element * count)(*values), size * count)
        elif count:
            for position, value in enumerate(values):
                target, text = c_void_p(data + position * size), value.encode()
                self.call("StringInit", None, target)
                self.call("StringCopy", None, target, c_char_p(text), c_size_t(len(text)))
        return tensor

    def values(self, tensor: int) -> tuple[list[int], list]:
        pointer = c_void_p(tensor)
        shape = [
            self.call("Dim", c_int64, pointer, c_int(axis)) for axis in range(self.call("NumDims", c_int, pointer))
        ]
        data, count = self.call("TensorData", c_void_p, pointer), math.prod(shape)
        kind = self.call("TensorType", c_int, pointer)
        if kind == KINDS["string"][0]:
            strings = [c_void_p(data + position * STRING_SIZE) for position in range(count)]
            return shape, [
                ctypes.string_at(
                    self.call("StringGetDataPointer", c_void_p, string), self.call("StringGetSize", c_size_t, string)
                ).decode()
                for string in strings
            ]
        element = next(element for number, element in KINDS.values() if number == kind)
        return shape, list(ctypes.cast(data, POINTER(element))[:count])

    def run(self, inputs: dict, outputs: list[str]) -> dict:
        feeds = (Output * len(inputs))(*map(self.output, inputs))
        tensors = (c_void_p * len(inputs))(*(self.tensor(*value) for value in inputs.values()))
        fetches = (Output * len(outputs))(*map(self.output, outputs))
        results = (c_void_p * len(outputs))()
        self.call(
            "SessionRun",
            None,
            c_void_p(self.session),
            None,
            *(feeds, tensors, c_int(len(inputs))),
            *(fetches, results, c_int(len(outputs))),
            *(None, c_int(0), None),
            c_void_p(self.status),
        )
        self.check()
        return {name: self.values(result) for name, result in zip(outputs, results, strict=True)}


if __name__ == "__main__":
    runtime = TensorFlow(sys.argv[1])
    runtime.load(sys.argv[2])
    request = json.load(sys.stdin)
    json.dump(runtime.run(request["inputs"], request["outputs"]), sys.stdout)
    assert not {"tensorflow", "numpy"} & sys.modules.keys()
