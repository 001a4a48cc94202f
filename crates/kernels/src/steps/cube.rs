//! Arrays of Burn's GPU backend, launches of CubeCL kernels on them, and functions that the kernels
//! of the optimizers share.
//!
//! Sums are formed in an order that depends only on an array's size, without atomics: every run
//! gives the same bits.

use std::any::Any;

use burn::backend::{Cube, TensorMetadata};
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// The number of units (threads) in a cube (thread block).
pub(super) const UNITS: usize = 256;
/// The largest number of cubes in a launch. A unit strides by the number of all units, so that
/// neighbouring units read neighbouring elements.
const CUBES: usize = 1024;
/// The number of elements per unit from which another cube is added.
const WORTH_A_UNIT: usize = 4;

/// An array passed as a kernel's slice argument.
pub type Arg = BufferArg;

/// Whether the tensor is an array of this backend. If Burn itself fuses operations, the tensor is
/// lazy and is left to Burn.
pub(super) fn holds<const D: usize>(t: &Tensor<D>) -> bool {
    t.clone()
        .try_into_primitive::<Cube>()
        .is_ok_and(|t| as_any::<_, CubeTensor>(t).is_some())
}

/// The array of a tensor on this backend.
pub(super) fn array<const D: usize>(t: Tensor<D>) -> CubeTensor {
    let t = t.try_into_primitive::<Cube>().ok().and_then(as_any);
    into_contiguous(t.expect("a tensor on this backend"))
}

/// The array, or a copy if it is shared: a kernel may change it.
pub(super) fn own(t: CubeTensor) -> CubeTensor {
    // CUDA and HIP pad the rows of a copy.
    if t.can_mut() {
        t
    } else {
        into_contiguous(t.copy())
    }
}

/// Converts an array back to a Burn tensor.
pub(super) fn tensor<const D: usize>(t: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<Cube>(as_any(t).expect("no fusion if the tensors were arrays"))
}

/// Casts between types that are equal at run time: with Burn's fusion the backend has another
/// tensor type, which this crate cannot see at compile time.
fn as_any<A: 'static, B: 'static>(a: A) -> Option<B> {
    (Box::new(a) as Box<dyn Any>)
        .downcast::<B>()
        .ok()
        .map(|b| *b)
}

/// The launch of a kernel on arrays of n elements.
pub struct Launch {
    pub client: Client,
    pub cubes: usize,
}

impl Launch {
    pub fn over(t: &CubeTensor) -> Self {
        let n = t.shape().num_elements();
        Launch {
            client: t.client.clone(),
            cubes: n.div_ceil(UNITS * WORTH_A_UNIT).clamp(1, CUBES),
        }
    }

    pub fn count(&self) -> CubeCount {
        CubeCount::Static(self.cubes as u32, 1, 1)
    }

    pub fn dim(&self) -> CubeDim {
        CubeDim::new_1d(UNITS as u32)
    }
}

/// A new array of n elements on the device of another one.
pub(super) fn empty(beside: &CubeTensor, n: usize) -> CubeTensor {
    let handle = beside.client.empty(n * size_of::<f32>());
    CubeTensor::new_contiguous(
        beside.client.clone(),
        beside.device.clone(),
        Shape::new([n]),
        handle,
        DType::F32,
    )
}

pub(super) fn arg(t: &CubeTensor) -> Arg {
    let n = t.shape().num_elements();
    // In a kernel a slice has the length of its buffer, which CUDA and HIP pad.
    let padding = t.handle.size_in_used() - (n * size_of::<f32>()) as u64;
    // SAFETY: the array is contiguous and, without the padding, has as many elements as its shape
    // says.
    unsafe { BufferArg::from_raw_parts(t.handle.clone().offset_end(padding), n) }
}

/// The weight and gradient after weight decay.
#[cube]
pub(super) fn decayed(w: f32, g: f32, l2: f32, shrink: f32) -> (f32, f32) {
    (w * shrink, select(l2 == 0.0, g, g + w * l2))
}

/// √v + eps, but at least the smallest normal number; NaN is propagated.
#[cube]
pub(super) fn root_plus_eps(v: f32, eps: f32) -> f32 {
    let root = v.sqrt() + eps;
    select(root < f32::MIN_POSITIVE, f32::MIN_POSITIVE.runtime(), root)
}

/// The sum over the cube's units, available in each of them.
#[cube]
pub(super) fn over_cube(term: f32) -> f32 {
    let mut sums = Shared::<[f32]>::new_slice(UNITS);
    let unit = UNIT_POS as usize;
    sums[unit] = term;
    sync_cube();
    #[unroll]
    for k in 0..UNITS.ilog2() {
        let half = comptime!((UNITS >> 1) >> k);
        if unit < half {
            sums[unit] = sums[unit] + sums[unit + half];
        }
        sync_cube();
    }
    sums[0]
}

/// The sum over cubes of the `which`-th term that each cube of an earlier launch wrote.
#[cube]
pub(super) fn over_cubes(partial: &[f32], cubes: usize, #[comptime] which: usize) -> f32 {
    let mut sum = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < cubes {
        sum += partial[which * cubes + i];
        i += UNITS;
    }
    over_cube(sum)
}

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    use super::super::{Lamb, Place, Sgd, Trust, Velocity, place, step};
    use super::*;
    use burn::tensor::{Device, DeviceKind, TensorData};

    /// The software adapter, or any other; `None` if there is no adapter or the kernels are off.
    fn device() -> Option<Device> {
        if !crate::enabled() {
            return None;
        }
        let found = std::panic::catch_unwind(|| {
            let device = Device::wgpu(DeviceKind::Cpu);
            Tensor::<1>::zeros([1], &device).into_data();
            device
        });
        assert!(
            found.is_ok() || std::env::var("LARGEBATCH_REQUIRE_WGPU").is_err(),
            "LARGEBATCH_REQUIRE_WGPU is set, but there is no adapter"
        );
        found.ok()
    }

    fn wave(n: usize, device: &Device, by: f32) -> Tensor<1> {
        Tensor::from_data(
            TensorData::new((0..n).map(|i| (i as f32 * by).sin()).collect(), [n]),
            device,
        )
    }

    fn host(t: Tensor<1>) -> Vec<f32> {
        t.into_data().try_to_vec().unwrap()
    }

    /// Whole numbers, so that the result is exact. Tensors that are shared stay unchanged, and a
    /// view is read in place.
    #[test]
    fn a_step_changes_its_own_arrays_alone() {
        let Some(device) = device() else { return };
        for n in [
            1,
            UNITS - 1,
            3 * UNITS + 5,
            CUBES * UNITS * WORTH_A_UNIT + 77,
        ] {
            let long = Tensor::<1>::from_data(
                TensorData::new(
                    (0..n as i64 + 3).map(|i| (i % 1000) as f32).collect(),
                    [n + 3],
                ),
                &device,
            );
            let (w, g) = (long.clone().narrow(0, 3, n), long.clone().narrow(0, 0, n));
            assert!(matches!(place([&w, &g].into_iter()), Some(Place::Cube)));
            let kernel = Sgd {
                decay: (0.0, 1.0),
                rate: 2.0,
            };
            let Ok([stepped]) = step(&kernel, [g.clone()], [w.clone()]) else {
                panic!("the kernels run here")
            };
            let wanted: Vec<f32> = (0..n)
                .map(|i| ((i + 3) % 1000) as f32 - 2.0 * (i % 1000) as f32)
                .collect();
            assert_eq!(host(stepped), wanted);
            assert_eq!(
                host(long),
                (0..n + 3).map(|i| (i % 1000) as f32).collect::<Vec<_>>()
            );
        }
    }

    /// A tensor of n elements in a larger buffer, as CUDA and HIP pad it; the padding is NaN.
    fn padded(t: &Tensor<1>) -> Tensor<1> {
        let n = t.dims()[0];
        let long = array(Tensor::cat(
            vec![t.clone(), Tensor::full([6], f32::NAN, &t.device())],
            0,
        ));
        tensor(CubeTensor::new_contiguous(
            long.client.clone(),
            long.device.clone(),
            Shape::new([n]),
            long.handle,
            DType::F32,
        ))
    }

    #[test]
    fn what_lies_behind_an_array_is_not_read() {
        let Some(device) = device() else { return };
        let (w, g) = (wave(10, &device, 0.37), wave(10, &device, 0.11));
        let trust = Trust {
            coefficient: 0.01,
            eps: 0.0,
            combined: false,
            clip: None,
        };
        let step = |w: Tensor<1>, g: Tensor<1>, v: Tensor<1>| {
            let velocity = Velocity {
                decay: (0.1, 1.0),
                scale: 1.0,
                beta: 0.9,
                kept: 1.0,
                ahead: None,
                rate: 1.0,
            };
            let Ok(([w, v], ratio)) = trust.step(velocity, w, g, v) else {
                panic!("the kernels run here")
            };
            [w, v, ratio].map(host)
        };
        let zeros = Tensor::zeros([10], &device);
        assert_eq!(
            step(padded(&w), padded(&g), padded(&zeros)),
            step(w, g, zeros)
        );
    }

    /// The norms include all elements: the ratio is that of sums in f64.
    #[test]
    fn ratios_are_of_all_numbers() {
        let Some(device) = device() else { return };
        for n in [1, UNITS + 1, 70_000, CUBES * UNITS * WORTH_A_UNIT + 77] {
            let (w, g, zeros) = (
                wave(n, &device, 0.37),
                wave(n, &device, 0.11),
                Tensor::zeros([n], &device),
            );
            let norm = |t: &Tensor<1>| {
                host(t.clone())
                    .iter()
                    .map(|&x| f64::from(x).powi(2))
                    .sum::<f64>()
                    .sqrt()
            };
            let trust = Trust {
                coefficient: 0.01,
                eps: 0.0,
                combined: false,
                clip: None,
            };
            let velocity = Velocity {
                decay: (0.1, 1.0),
                scale: 1.0,
                beta: 0.9,
                kept: 1.0,
                ahead: None,
                rate: 1.0,
            };
            let wanted = 0.01 * norm(&w) / (norm(&g) + 0.1 * norm(&w));
            let Ok((_, ratio)) = trust.step(velocity, w.clone(), g.clone(), zeros.clone()) else {
                panic!("the kernels run here")
            };
            let found = f64::from(host(ratio)[0]);
            assert!(
                n == 1 || (found / wanted - 1.0).abs() < 2e-6,
                "{n}: {found}, not {wanted}"
            );

            let lamb = Lamb {
                decay: (0.0, 1.0),
                beta: [0.0, 0.0],
                entering: [1.0, 1.0],
                corrections: [1.0, 1.0],
                eps: 1e6,
                update_decay: 0.0,
                rate: 1.0,
                bounds: Some([0.0, f32::INFINITY, 0.0, f32::INFINITY]),
            };
            let again = || {
                let Ok(([w, ..], ratio)) =
                    lamb.step([w.clone(), g.clone(), zeros.clone(), zeros.clone()])
                else {
                    panic!("as above")
                };
                (host(w), host(ratio.expect("bounds")))
            };
            let (stepped, ratio) = again();
            assert!(
                n == 1 || (f64::from(ratio[0]) / (norm(&w) / norm(&g) * 1e6) - 1.0).abs() < 2e-6,
                "{n}: {ratio:?}"
            );
            assert!(again() == (stepped, ratio), "{n}: other bits");
        }
    }
}
