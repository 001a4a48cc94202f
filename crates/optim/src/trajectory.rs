use crate::clip::global_norm;
use crate::norm::norm;
use crate::{Driver, DynOptimizerConfig, LayerTrace, OptimError};
use burn::tensor::{DType, Device, Tensor, TensorData};
use largebatch_kernels::with_rank;
use std::collections::BTreeMap;

/// Given weights, gradients and learning rates, along which an optimizer is driven without a model.
///
/// The gradients do not depend on the weights. A rule that looks ahead takes them as those at its
/// shifted weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trajectory {
    /// The learning rate at each step.
    pub rates: Vec<f64>,
    /// The parameters.
    pub parameters: Vec<Named>,
}

/// One parameter of a [`Trajectory`]. Numbers are in row-major order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Named {
    /// Its name, which exclusions match as its path.
    pub name: String,
    /// Its shape, of rank 0 to 8. Rank 0 is computed as rank 1.
    pub shape: Vec<usize>,
    /// Its weights before the first step.
    pub init: Vec<f64>,
    /// Its gradient at each step.
    pub grads: Vec<Vec<f64>>,
}

/// A parameter that moves along a trajectory, with its rank erased.
trait Walker {
    fn measure(&mut self, grad: &[f64], norms: &mut Vec<Tensor<1>>);
    fn step(&mut self, driver: &mut Driver, lr: f64, factor: f64, trace: &mut Vec<LayerTrace>);
    fn weights(&self) -> Vec<f64>;
    fn ahead(&self, driver: &Driver) -> Vec<f64>;
}

struct Walking<const D: usize> {
    name: String,
    shape: [usize; D],
    dtype: DType,
    device: Device,
    w: Option<Tensor<D>>,
    g: Option<Tensor<D>>,
    traced: bool,
}

impl<const D: usize> Walking<D> {
    fn tensor(&self, values: &[f64]) -> Tensor<D> {
        // Converted on the host: a device would turn f64 data into its default float.
        let data = match self.dtype {
            DType::F64 => TensorData::new(values.to_vec(), self.shape),
            _ => TensorData::new(
                values.iter().map(|x| *x as f32).collect::<Vec<f32>>(),
                self.shape,
            ),
        };
        Tensor::from_data(data, (&self.device, self.dtype))
    }
}

impl<const D: usize> Walker for Walking<D> {
    fn measure(&mut self, grad: &[f64], norms: &mut Vec<Tensor<1>>) {
        let g = self.tensor(grad);
        norms.push(norm(&g));
        self.g = Some(g);
    }
    fn step(&mut self, driver: &mut Driver, lr: f64, factor: f64, trace: &mut Vec<LayerTrace>) {
        let (Some(w), Some(g), Some(slot)) = (
            self.w.take(),
            self.g.take(),
            driver.slots.get_mut(&self.name),
        ) else {
            return;
        };
        let g = if factor == 1.0 {
            g
        } else {
            g.mul_scalar(factor)
        };
        self.w = Some(Driver::advance(
            slot,
            lr,
            w,
            g,
            self.traced.then_some((trace, self.name.as_str())),
        ));
    }
    fn weights(&self) -> Vec<f64> {
        self.w.as_ref().map(numbers).unwrap_or_default()
    }
    fn ahead(&self, driver: &Driver) -> Vec<f64> {
        let slot = driver.slots.get(&self.name);
        match (
            slot.and_then(|s| s.state.as_ref().map(|state| (&s.rule, state))),
            &self.w,
        ) {
            (Some((rule, state)), Some(w)) => numbers(&Tensor::<D>::from_bridge(
                rule.dyn_ahead(w.clone().into_bridge(), state),
            )),
            _ => self.weights(),
        }
    }
}

/// Reads the numbers from the device. If the device fails the result is empty, and a comparison
/// with it fails.
fn numbers<const D: usize>(w: &Tensor<D>) -> Vec<f64> {
    w.try_to_vec_as::<f64>().unwrap_or_default()
}

/// An optimizer that moves along a trajectory.
pub(crate) struct Run {
    pub driver: Driver,
    walkers: Vec<Box<dyn Walker>>,
    traced: bool,
}

impl Run {
    pub fn new(
        recipe: &dyn DynOptimizerConfig,
        path: &Trajectory,
        dtype: DType,
        device: &Device,
        traced: bool,
    ) -> Result<Run, OptimError> {
        let mut driver = Driver::empty(recipe)?;
        let mut walkers = Vec::new();
        for p in &path.parameters {
            let shape = if p.shape.is_empty() {
                vec![1]
            } else {
                p.shape.clone()
            };
            walkers.push(walker(p, &shape, dtype, device, traced)?);
            driver.register(p.name.clone(), &[], shape, device.clone());
        }
        Ok(Run {
            driver,
            walkers,
            traced,
        })
    }

    /// One step, including the recipe's own global clipping.
    pub fn step(&mut self, lr: f64, grads: &[&[f64]]) -> Vec<LayerTrace> {
        let mut norms = Vec::new();
        for (walker, grad) in self.walkers.iter_mut().zip(grads) {
            walker.measure(grad, &mut norms);
        }
        let factor = self
            .driver
            .global_clip()
            .map_or(1.0, |clip| clip.factor(global_norm(norms)));
        let mut trace = Vec::new();
        for walker in &mut self.walkers {
            walker.step(&mut self.driver, lr, factor, &mut trace);
        }
        debug_assert!(self.traced || trace.is_empty());
        trace
    }

    /// The weights at which the rule takes its next gradients.
    pub fn ahead(&self) -> Vec<Vec<f64>> {
        self.walkers.iter().map(|w| w.ahead(&self.driver)).collect()
    }

    /// The weights of every parameter.
    pub fn weights(&self) -> Vec<Vec<f64>> {
        self.walkers.iter().map(|w| w.weights()).collect()
    }
}

fn walker(
    p: &Named,
    shape: &[usize],
    dtype: DType,
    device: &Device,
    traced: bool,
) -> Result<Box<dyn Walker>, OptimError> {
    with_rank!(shape.len(), D => {
        let mut walking = Walking::<D> {
            name: p.name.clone(),
            shape: std::array::from_fn(|i| shape[i]),
            dtype,
            device: device.clone(),
            w: None,
            g: None,
            traced,
        };
        walking.w = Some(walking.tensor(&p.init));
        Ok(Box::new(walking))
    }, else Err(OptimError::Trajectory {
        place: p.name.clone(),
        what: format!("its rank is {}", shape.len()),
        remedy: "reshape it to a rank of 8 or less".into(),
    }))
}

impl Trajectory {
    /// The weights of every parameter after every step: `[step][parameter][element]`, computed in `dtype` on `device`.
    pub fn follow(
        &self,
        recipe: &dyn DynOptimizerConfig,
        dtype: DType,
        device: &Device,
    ) -> Result<Vec<Vec<Vec<f64>>>, OptimError> {
        self.check()?;
        let mut run = Run::new(recipe, self, dtype, device, false)?;
        Ok((0..self.rates.len())
            .map(|t| {
                run.step(self.rates[t], &self.gradients(t));
                run.weights()
            })
            .collect())
    }

    /// Checks that each rate has a gradient, and that the counts of numbers match the shapes.
    fn check(&self) -> Result<(), OptimError> {
        for p in &self.parameters {
            let n = p.shape.iter().product::<usize>();
            let unfit = |what: String| OptimError::Trajectory {
                place: format!("parameter `{}`", p.name),
                what,
                remedy: format!(
                    "give {} gradients, and {n} numbers for each of them and for the weights",
                    self.rates.len()
                ),
            };
            if p.grads.len() != self.rates.len() {
                return Err(unfit(format!("it has {} gradients", p.grads.len())));
            }
            if let Some(other) = std::iter::once(&p.init)
                .chain(&p.grads)
                .find(|v| v.len() != n)
            {
                return Err(unfit(format!(
                    "{} numbers are given for the shape {:?}",
                    other.len(),
                    p.shape
                )));
            }
        }
        Ok(())
    }

    pub(crate) fn gradients(&self, t: usize) -> Vec<&[f64]> {
        self.parameters
            .iter()
            .map(|p| p.grads[t].as_slice())
            .collect()
    }

    /// The largest relative deviation ‖a − b‖ / ‖b‖ over all steps, by parameter. Infinite if b is
    /// 0 and a is not, or if anything is missing.
    pub fn deviations(
        &self,
        found: &[Vec<Vec<f64>>],
        expected: &[Vec<Vec<f64>>],
    ) -> BTreeMap<String, f64> {
        let largest = |i: usize| {
            (0..expected.len().max(found.len())).map(move |t| {
                match (
                    found.get(t).and_then(|s| s.get(i)),
                    expected.get(t).and_then(|s| s.get(i)),
                ) {
                    (Some(a), Some(b)) => deviation(a, b),
                    _ => f64::INFINITY,
                }
            })
        };
        self.parameters
            .iter()
            .enumerate()
            .map(|(i, p)| (p.name.clone(), largest(i).fold(0.0, f64::max)))
            .collect()
    }
}

fn deviation(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    // Scaled, because the square of 1e200 would overflow.
    let scale = b.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let scale = if scale > 0.0 { scale } else { 1.0 };
    let length =
        |x: &mut dyn Iterator<Item = f64>| x.map(|v| (v / scale) * (v / scale)).sum::<f64>().sqrt();
    let (error, size) = (
        length(&mut a.iter().zip(b).map(|(a, b)| a - b)),
        length(&mut b.iter().copied()),
    );
    if error == 0.0 {
        0.0
    } else if (error / size).is_nan() {
        f64::INFINITY
    } else {
        error / size
    }
}
