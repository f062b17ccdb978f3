"""`python -m onnx_quant` is the command `onnx-quant`."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
