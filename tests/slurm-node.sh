#!/bin/bash
# A Slurm of one node on the loopback, for tests: slurm-node.sh up|down FOLDER. As root; needs Debian's slurm-wlm and munge.
set -eu
what=$1 folder=$2
if [ "$what" = down ]; then
    for pid in "$folder"/*.pid; do kill "$(cat "$pid")" || true; done
    exit 0
fi
host=$(hostname -s)
mkdir -p "$folder/state" "$folder/spool" "$folder/munge"
# The node daemon and the jobs run as other users too.
chmod 755 "$folder"
head -c 1024 /dev/urandom > "$folder/munge/key"
chmod 400 "$folder/munge/key"
chmod 711 "$folder/munge"
munged --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munged.pid" \
    --seed-file="$folder/munge/seed" --log-file="$folder/munge/log" --force
ports=$((20000 + $$ % 20000))
cat > "$folder/slurm.conf" <<EOF
ClusterName=loopback
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SlurmctldPort=$ports
SlurmdPort=$((ports + 1))
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
export SLURM_CONF=$folder/slurm.conf
slurmctld
slurmd
for _ in $(seq 100); do
    case $(sinfo --noheader --format=%T) in *idle*) exit 0 ;; esac
    sleep 0.1
done
echo "the node did not come up: $(sinfo)" >&2
tail -n 20 "$folder"/slurmctld.log >&2
tail -n 20 "$folder"/slurmd.log >&2
exit 1
