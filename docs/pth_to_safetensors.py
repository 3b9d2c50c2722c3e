# Weights of PyTorch as safetensors, for net:load: python3 docs/pth_to_safetensors.py resnet18.pth resnet18.safetensors
import sys, torch, safetensors.torch
state = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
safetensors.torch.save_file({name: t.clone().contiguous() for name, t in state.items()}, sys.argv[2])
