//! The cores that a study's workers run on.

use largebatch_study::{Plan, Shard, get};

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// All cores, with as many threads a trial as the study says.
pub(super) fn jobs(asked: Option<usize>, threads: u32) -> usize {
    asked.unwrap_or((cores() / threads.max(1) as usize).max(1))
}

/// Whether each of the workers is kept on cores of its own: where together they compute on every core, and on nothing else. A study that leaves cores free
/// may have a neighbour, on which its workers would sit; a GPU's driver has threads of its own.
pub(super) fn fills(plan: &Plan, jobs: usize) -> bool {
    let on_cpu = |device: Option<&toml::Value>| device.is_none_or(|d| d.as_str().is_some_and(largebatch_train::on_cpu));
    cfg!(target_os = "linux")
        && jobs > 1
        && jobs * plan.study.threads as usize == cores()
        && plan.groups.iter().all(|group| on_cpu(get(&group.config, "device")))
}

/// Keeps this process on its part of the cores that it may use. Before other threads start, which inherit it. Results do not depend on it, so that a system
/// that refuses is no error; a part is empty, and refused, where there are fewer cores than the parent saw.
#[cfg(target_os = "linux")]
pub(super) fn keep_to(part: Shard) {
    let all = allowed();
    let end = |i| all.len() * i / part.count;
    // SAFETY: a set of zeros is an empty one, cores that are allowed lie in the set, and the size given is its own.
    unsafe {
        let mut mine: libc::cpu_set_t = std::mem::zeroed();
        all[end(part.index - 1)..end(part.index)].iter().for_each(|&core| libc::CPU_SET(core, &mut mine));
        libc::sched_setaffinity(0, size_of_val(&mine), &raw const mine);
    }
}

/// The cores that this thread may run on.
#[cfg(target_os = "linux")]
fn allowed() -> Vec<usize> {
    // SAFETY: as above; the call fills the set, or leaves it empty if there are more cores than a set holds.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &raw mut set);
        set
    };
    // SAFETY: the cores lie below the set's size.
    (0..libc::CPU_SETSIZE as usize).filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn keep_to(_part: Shard) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_cores_are_disjoint_and_all_of_them() {
        let all = allowed();
        let kept = |index, count| {
            // A thread's own set ends with it.
            let thread = std::thread::spawn(move || {
                keep_to(Shard { index, count });
                allowed()
            });
            thread.join().unwrap()
        };
        assert!(!all.is_empty());
        assert_eq!(kept(1, 1), all);
        let n = all.len();
        assert_eq!((1..=n).map(|i| kept(i, n)).collect::<Vec<_>>(), all.iter().map(|&core| vec![core]).collect::<Vec<_>>());
        // More parts than cores: the empty ones change nothing.
        assert_eq!([kept(1, 2 * n), kept(2, 2 * n)], [all.clone(), vec![all[0]]]);
    }
}
