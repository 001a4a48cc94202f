//! Devices by name.

use burn::tensor::Device;

use crate::TrainError;

/// A backend that a device name can select.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backend {
    /// The name for `--device`.
    pub name: &'static str,
    /// A one-line description.
    pub summary: &'static str,
    /// Whether this build includes it.
    pub compiled: bool,
    /// The cargo feature that adds it.
    pub feature: &'static str,
}

/// The backends that largebatch knows, the default first.
pub const BACKENDS: [Backend; 4] = [
    Backend {
        name: "flex",
        summary: "CPU, Burn's fast pure-Rust backend (default)",
        compiled: true,
        feature: "",
    },
    Backend {
        name: "ndarray",
        summary: "CPU, on the ndarray crate; slow convolutions",
        compiled: cfg!(feature = "ndarray"),
        feature: "ndarray",
    },
    Backend {
        name: "wgpu",
        summary: "GPU through Vulkan, Metal or DirectX",
        compiled: cfg!(feature = "wgpu"),
        feature: "wgpu",
    },
    Backend {
        name: "cuda",
        summary: "NVIDIA GPU",
        compiled: cfg!(feature = "cuda"),
        feature: "cuda",
    },
];

/// The processor and the vector instructions that the kernels use on it: `AMD EPYC, AVX2`.
/// Processors with different instructions sum in a different order, so the same seed gives the same
/// bits only on the same kind of processor.
pub fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| {
        Some(
            line.strip_prefix("model name")?
                .trim_start_matches([' ', '\t', ':'])
                .trim(),
        )
    });
    let parts: Vec<&str> = model
        .into_iter()
        .chain(largebatch_kernels::vectors())
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The adapters that this machine offers to a backend, as Burn names them; always one for a CPU
/// backend.
pub fn adapters(backend: &Backend) -> Vec<Device> {
    match backend.name {
        "flex" => vec![Device::flex()],
        #[cfg(feature = "ndarray")]
        "ndarray" => vec![ndarray()],
        #[cfg(feature = "wgpu")]
        "wgpu" => Device::enumerate(burn::tensor::DeviceType::Wgpu)
            .into_iter()
            .collect(),
        #[cfg(feature = "cuda")]
        "cuda" => Device::enumerate(burn::tensor::DeviceType::Cuda)
            .into_iter()
            .collect(),
        _ => Vec::new(),
    }
}

/// Finds a device by name: `flex`, `ndarray`, `wgpu`, `wgpu:cpu` (the software adapter), `cuda`,
/// `cuda:1`.
///
/// # Errors
/// An unknown name, a backend that this build lacks, or a backend without an adapter on this
/// machine. Each error says what to add.
pub fn device(name: &str) -> Result<Device, TrainError> {
    let (backend, which) = name
        .split_once(':')
        .map_or((name, None), |(backend, which)| (backend, Some(which)));
    let Some(known) = BACKENDS.iter().find(|b| b.name == backend) else {
        return Err(TrainError::unknown(
            "device",
            backend,
            BACKENDS.iter().map(|b| b.name),
        ));
    };
    if !known.compiled {
        return Err(TrainError::NotCompiled {
            device: known.name,
            feature: known.feature,
        });
    }
    if adapters(known).is_empty() {
        return Err(TrainError::NoAdapter {
            device: known.name,
            remedy: if known.name == "cuda" {
                "install NVIDIA's driver and CUDA toolkit"
            } else {
                "install a Vulkan driver (for a software adapter on Debian or Ubuntu: mesa-vulkan-drivers and libvulkan1)"
            },
        });
    }
    match (known.name, which) {
        ("flex", None) => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        ("ndarray", None) => Ok(ndarray()),
        #[cfg(feature = "wgpu")]
        ("wgpu", None) => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "wgpu")]
        ("wgpu", Some("cpu")) => Ok(Device::wgpu(burn::tensor::DeviceKind::Cpu)),
        #[cfg(feature = "cuda")]
        ("cuda", index) if index.is_none_or(|i| i.parse::<usize>().is_ok()) => Ok(Device::cuda(
            index.and_then(|i| i.parse::<usize>().ok()).unwrap_or(0),
        )),
        _ => Err(TrainError::Value {
            key: "device".into(),
            value: name.into(),
            why: "after the colon only wgpu:cpu and cuda:0, cuda:1, … are known".into(),
        }),
    }
}

/// Whether a number can be read from the device without waiting: true on the CPU backends.
pub(crate) fn reads_are_free(name: &str) -> bool {
    matches!(name, "flex" | "ndarray")
}

#[cfg(feature = "ndarray")]
#[allow(
    deprecated,
    reason = "Burn 0.22 still ships ndarray, and the project offers it for comparison"
)]
fn ndarray() -> Device {
    Device::ndarray()
}

/// The number of CPU threads used for computing.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// The most CPU threads that a run may ask for; no machine has more.
pub const MAX_THREADS: usize = 4096;

/// Sets the number of CPU threads, at most [`MAX_THREADS`], and makes the calling thread one of them;
/// `None` for as many as the machine has. The first call in a process decides.
///
/// A thread outside of the pool hands over each loop and waits, which costs more than a short loop.
/// Compute only on the calling thread from then on, and do not let it end: with one thread, the loops
/// of any other thread would never run.
pub fn compute_here(threads: Option<usize>) {
    let threads = threads.map_or(0, |threads| threads.clamp(1, MAX_THREADS));
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .use_current_thread()
        .build_global();
}
