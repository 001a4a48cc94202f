"""A complete small training script in PyTorch, as a user would write it: THREADS FOLDER, which has MNIST."""

import gzip, sys, numpy as np, torch
from torch import nn
torch.set_num_threads(int(sys.argv[1]))
def read(name, skip):
    for path, opened in ((name, open), (name + ".gz", gzip.open)):
        try:
            return np.frombuffer(opened(f"{sys.argv[2]}/{path}", "rb").read(), np.uint8)[skip:]
        except FileNotFoundError:
            pass
x = torch.tensor(read("train-images-idx3-ubyte", 16).reshape(-1, 784)).float().div_(255)
y = torch.tensor(read("train-labels-idx1-ubyte", 8)).long()
tx = torch.tensor(read("t10k-images-idx3-ubyte", 16).reshape(-1, 784)).float().div_(255)
ty = torch.tensor(read("t10k-labels-idx1-ubyte", 8)).long()
train = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x[5000:], y[5000:]), batch_size=64, shuffle=True)
net = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
optimizer, loss = torch.optim.SGD(net.parameters(), lr=0.03, momentum=0.9), nn.CrossEntropyLoss()
for images, labels in train:
    optimizer.zero_grad(); loss(net(images), labels).backward(); optimizer.step()
with torch.no_grad():
    for a, b in ((x[:5000], y[:5000]), (tx, ty)):
        print((net(a).argmax(1) == b).float().mean().item())
