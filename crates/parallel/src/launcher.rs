//! The program that started this process, as its environment tells.

use std::env;

/// What started several copies of this program, such as `mpirun`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launcher {
    /// Whose variables were found.
    pub name: &'static str,
    /// The number of this process, from 0.
    pub rank: usize,
    /// The number of processes.
    pub count: usize,
    /// The number of this process among those on the same machine.
    pub local_rank: usize,
    /// The number of processes on the same machine.
    pub local_count: usize,
    /// The MPI through which the processes can find each other.
    pub(crate) mpi: Option<Implementation>,
}

/// An implementation of MPI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Implementation {
    OpenMpi,
    /// MPICH, and those with its library's interface.
    Mpich,
    Any,
}

/// The variables of a launcher: rank, count, and the same on one machine.
struct Variables {
    name: &'static str,
    rank: &'static str,
    count: &'static str,
    local_rank: &'static str,
    local_count: &'static str,
    mpi: Implementation,
    /// One of them is set if the launcher serves MPI; if the list is empty, it always does.
    served: &'static [&'static str],
}

const LAUNCHERS: [Variables; 3] = [
    Variables {
        name: "Open MPI's mpirun",
        rank: "OMPI_COMM_WORLD_RANK",
        count: "OMPI_COMM_WORLD_SIZE",
        local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
        local_count: "OMPI_COMM_WORLD_LOCAL_SIZE",
        mpi: Implementation::OpenMpi,
        served: &[],
    },
    Variables {
        name: "MPICH's mpiexec",
        rank: "PMI_RANK",
        count: "PMI_SIZE",
        local_rank: "MPI_LOCALRANKID",
        local_count: "MPI_LOCALNRANKS",
        mpi: Implementation::Mpich,
        served: &[],
    },
    Variables {
        name: "srun",
        rank: "SLURM_PROCID",
        count: "SLURM_STEP_NUM_TASKS",
        local_rank: "SLURM_LOCALID",
        local_count: "SLURM_STEP_TASKS_PER_NODE",
        mpi: Implementation::Any,
        served: &["PMIX_RANK", "PMI_FD"],
    },
];

impl Launcher {
    /// The launcher that started this process with others; `None` if it runs alone.
    pub fn find() -> Option<Launcher> {
        Self::among(|name| env::var(name).ok())
    }

    fn among(variable: impl Fn(&str) -> Option<String>) -> Option<Launcher> {
        // Slurm writes the tasks of each node as `4(x2),3`.
        let number = |name: &str| {
            let text = variable(name)?;
            let digits = text.split(|c: char| !c.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse::<usize>().ok())
        };
        LAUNCHERS.iter().find_map(|launcher| {
            let count = number(launcher.count).filter(|count| *count > 1)?;
            let mut served = launcher.served.iter();
            let serves = launcher.served.is_empty() || served.any(|name| variable(name).is_some());
            Some(Launcher {
                name: launcher.name,
                rank: number(launcher.rank)?,
                count,
                local_rank: number(launcher.local_rank).unwrap_or(0),
                local_count: number(launcher.local_count).unwrap_or(1),
                mpi: serves.then_some(launcher.mpi),
            })
        })
    }

    /// Whether the processes can find each other.
    pub fn serves_mpi(&self) -> bool {
        self.mpi.is_some()
    }

    /// The CPU threads for this process: its share of the machine, or all that it is bound to, if
    /// the launcher binds processes to cores.
    pub fn threads(&self) -> usize {
        let all = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let all = all.lines().filter(|l| l.starts_with("processor")).count();
        let here = std::thread::available_parallelism().map_or(1, usize::from);
        match here < all {
            true => here,
            false => (here / self.local_count.max(1)).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(variables: &[(&str, &str)]) -> Option<Launcher> {
        Launcher::among(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn launchers_are_known_by_their_variables() {
        assert_eq!(find(&[]), None);
        assert_eq!(
            find(&[("PMI_RANK", "0"), ("PMI_SIZE", "1")]),
            None,
            "a process that runs alone needs no MPI"
        );
        let slurm = [
            ("SLURM_PROCID", "5"),
            ("SLURM_STEP_NUM_TASKS", "11"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_STEP_TASKS_PER_NODE", "4(x2),3"),
        ];
        let plain = find(&slurm).unwrap();
        assert!(plain.rank == 5 && plain.count == 11 && plain.local_count == 4);
        assert_eq!(plain.mpi, None);
        let pmix = find(&[&slurm[..], &[("PMIX_RANK", "5")]].concat()).unwrap();
        assert_eq!(pmix.mpi, Some(Implementation::Any));
        // mpirun in an allocation.
        let mpirun = [("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "2")];
        let mpirun = find(&[&slurm[..], &mpirun].concat()).unwrap();
        assert!(mpirun.mpi == Some(Implementation::OpenMpi) && mpirun.count == 2);
    }
}
