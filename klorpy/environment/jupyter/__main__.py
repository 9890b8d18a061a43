"""The kernel as Jupyter starts it: `python -m klorpy.environment.jupyter -f CONNECTION_FILE`."""

from __future__ import annotations

from ipykernel.kernelapp import IPKernelApp

from klorpy.environment.jupyter.kernel import KlorpyKernel

if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=KlorpyKernel)
