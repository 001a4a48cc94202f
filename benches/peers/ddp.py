"""PyTorch's side of `benches/ranks`: DistributedDataParallel over Gloo, and the sums of Gloo and of MPI. Prints a JSON object for each job.

    ddp.py weights,WORLD,BUCKET_MB       the MD5 of the weights after 20 steps of an MLP
    ddp.py step,WORLD,MODEL,BATCH        seconds of a training step, with the batch shared
    ddp.py sum,WORLD,NUMBERS             seconds of Gloo's allreduce
    mpirun -n WORLD ddp.py mpi NUMBERS   seconds of MPI_Allreduce of Open MPI

Each process has one thread. Times are of 11 steps or sums, in the slowest process: of steps the mean, of sums the least.
"""

import ctypes, hashlib, json, multiprocessing, os, sys, tempfile, time

ROUNDS = 11


def times(unit):
    unit()
    all = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        unit()
        all.append(time.perf_counter() - begin)
    return all


def dense(*sizes):
    from torch import nn
    layers = [nn.Flatten()]
    for i, o in zip(sizes, sizes[1:]):
        layers += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def network(name):
    from torch import nn
    if name == "mlp":
        return dense(784, 4620, 4620, 10)
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(3136, 1024), nn.ReLU(), nn.Dropout(0.4), nn.Linear(1024, 10))


def trainer(net, world, rank, batch, shape, bucket=25.0):
    """One step on this process's share of a batch; with one process, without DDP."""
    import torch
    from torch.nn.functional import cross_entropy
    from torch.nn.parallel import DistributedDataParallel
    x, y = torch.rand(batch, *shape), torch.arange(batch) % 10
    share = slice(rank * batch // world, (rank + 1) * batch // world)
    x, y = x[share].contiguous(), y[share]
    if world > 1:
        net = DistributedDataParallel(net, bucket_cap_mb=bucket)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def step():
        optimizer.zero_grad()
        cross_entropy(net(x), y).backward()
        optimizer.step()
    return step


def work(rank, world, what, options, file):
    import torch
    import torch.distributed as dist
    torch.set_num_threads(1)
    torch.manual_seed(0)
    os.environ.update(MASTER_ADDR="127.0.0.1", GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", init_method=f"file://{file}.meet", rank=rank, world_size=world)
    if what == "weights":
        net = dense(64, 256, 256, 10)
        step = trainer(net, world, rank, 64, (64,), float(options[0]))
        for _ in range(20):
            step()
        bytes_of = b"".join(p.detach().numpy().tobytes() for p in net.parameters())
        found = {"md5": hashlib.md5(bytes_of).hexdigest()}
    else:
        if what == "step":
            # The mean, as on our side: the difference of a long and a short training.
            seconds = sum(times(trainer(network(options[0]), world, rank, int(options[1]), (1, 28, 28)))) / ROUNDS
        else:
            numbers = torch.zeros(int(options[0]))
            seconds = min(times(lambda: dist.all_reduce(numbers)))
        seconds = torch.tensor([seconds], dtype=torch.float64)
        dist.all_reduce(seconds, dist.ReduceOp.MAX)
        found = {"seconds": seconds.item()}
    if rank == 0:
        with open(file, "w") as out:
            json.dump(found, out)
    dist.barrier()
    dist.destroy_process_group()


def mpi(n):
    """MPI_Allreduce with Open MPI's handles, which are addresses of variables."""
    lib = ctypes.CDLL("libmpi.so.40", ctypes.RTLD_GLOBAL)
    handle = lambda name: ctypes.c_void_p(ctypes.addressof(ctypes.c_char.in_dll(lib, name)))
    world, floats, add = handle("ompi_mpi_comm_world"), handle("ompi_mpi_float"), handle("ompi_mpi_op_sum")
    lib.MPI_Init(None, None)
    rank = ctypes.c_int()
    lib.MPI_Comm_rank(world, ctypes.byref(rank))
    have, want = (ctypes.c_float * n)(), (ctypes.c_float * n)()

    def unit():
        lib.MPI_Barrier(world)
        lib.MPI_Allreduce(have, want, n, floats, add, world)
    seconds = min(times(unit))
    if rank.value == 0:
        print(json.dumps({"seconds": seconds}), flush=True)
    lib.MPI_Finalize()


def job(what, world, *options):
    with tempfile.TemporaryDirectory() as folder:
        found = f"{folder}/found"
        fork = multiprocessing.get_context("fork").Process
        processes = [fork(target=work, args=(rank, int(world), what, options, found)) for rank in range(int(world))]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if any(process.exitcode for process in processes):
            sys.exit("a process failed")
        print(open(found).read(), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "mpi":
        mpi(int(sys.argv[2]))
    else:
        import torch  # Once, before processes fork.
        for words in sys.argv[1:]:
            job(*words.split(","))
