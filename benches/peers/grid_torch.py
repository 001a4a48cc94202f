"""The trials of `grid.toml` as a plain loop of PyTorch: THREADS."""

import sys

import torch
from torch import nn

from side import BATCH, EPOCHS, RATES, SEEDS, digits

torch.set_num_threads(int(sys.argv[1]))
(x, y), *others = [(torch.tensor(x), torch.tensor(y)) for x, y in digits()]
for rate in RATES:
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        optimizer, loss = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9), nn.CrossEntropyLoss()
        accuracy = lambda x, y: (net(x).argmax(1) == y).float().mean().item()
        for epoch in range(EPOCHS):
            for rows in torch.randperm(len(x)).split(BATCH):
                optimizer.zero_grad()
                loss(net(x[rows]), y[rows]).backward()
                optimizer.step()
            with torch.no_grad():
                validation = accuracy(*others[0])
        with torch.no_grad():
            print(rate, seed, validation, accuracy(*others[1]))
