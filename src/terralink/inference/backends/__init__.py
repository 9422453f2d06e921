"""What computes a model: OpenVINO or ONNX Runtime for a model file, torch for the folder of a run.

``terralink.inference.load`` chooses one of them. Only ``torch_backend`` imports torch, and nothing
imports ``torch_backend`` before a folder is to be computed.
"""
