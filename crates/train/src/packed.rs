//! The tensors of a network as numbers to send, in its order.

use burn::module::{ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};
use largebatch_parallel::copy;

pub(crate) fn values(data: TensorData) -> Vec<f32> {
    let convert = |data: TensorData| data.iter::<f32>().collect();
    match data.dtype() {
        DType::F32 => data.try_into_vec::<f32>().unwrap_or_default(),
        _ => convert(data),
    }
}

/// Which parameters have a gradient, in the network's order, and their sizes.
#[derive(Default)]
pub(crate) struct Layout<'a> {
    pub of: Option<&'a GradientsParams>,
    pub ids: Vec<ParamId>,
    pub present: Vec<u32>,
    pub lengths: Vec<usize>,
}

impl Layout<'_> {
    /// The sizes of the gradients that are present.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        let all = self.present.iter().zip(&self.lengths);
        all.filter(|(present, _)| **present > 0).map(|(_, n)| *n)
    }
}

impl ModuleVisitor for Layout<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let known = self.ids.iter().position(|id| *id == param.id);
        let at = known.unwrap_or_else(|| {
            self.ids.push(param.id);
            self.present.push(0);
            self.lengths.push(param.lazy_shape().num_elements());
            self.ids.len() - 1
        });
        let found = self.of.and_then(|gradients| gradients.get::<D>(param.id));
        self.present[at] |= u32::from(found.is_some());
    }
}

/// Writes the gradients that are present one after the other.
pub(crate) struct Pack<'a> {
    pub gradients: &'a GradientsParams,
    pub layout: &'a Layout<'a>,
    pub at: usize,
    pub rest: &'a mut [f32],
}

impl ModuleVisitor for Pack<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (present, n) = (self.layout.present[self.at], self.layout.lengths[self.at]);
        self.at += 1;
        if present == 0 {
            return;
        }
        let (these, rest) = std::mem::take(&mut self.rest).split_at_mut(n);
        self.rest = rest;
        match self.gradients.get::<D>(param.id) {
            Some(gradient) => copy(&values(gradient.into_data()), these),
            // The neutral element of a sum.
            None => these.fill(-0.0),
        }
    }
}

/// Reads them.
pub(crate) struct Unpack<'a> {
    pub total: &'a [f32],
    pub layout: &'a Layout<'a>,
    pub at: usize,
    pub device: &'a Device,
    pub gradients: GradientsParams,
}

impl ModuleVisitor for Unpack<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (present, n) = (self.layout.present[self.at], self.layout.lengths[self.at]);
        self.at += 1;
        if present == 0 {
            return;
        }
        let (these, rest) = self.total.split_at(n);
        self.total = rest;
        let data = TensorData::new(these.to_vec(), param.lazy_shape());
        let gradient = Tensor::<D>::from_data(data, self.device);
        self.gradients.register(param.id, gradient);
    }
}

/// Reads the parameters of this process; zeros stand for the others.
pub(crate) struct Read<'a> {
    pub own: &'a mut dyn Iterator<Item = bool>,
    pub tensors: Vec<Vec<f32>>,
}

impl ModuleVisitor for Read<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.tensors.push(match self.own.next() {
            Some(true) => values(param.val().inner().into_data()),
            _ => vec![0.0; param.lazy_shape().num_elements()],
        });
    }
}

/// Replaces the parameters that have new values.
pub(crate) struct Replace<'a>(pub &'a mut dyn Iterator<Item = Option<Vec<f32>>>);

impl ModuleMapper for Replace<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = self.0.next().flatten() else {
            return param;
        };
        let (id, data) = (param.id, TensorData::new(values, param.lazy_shape()));
        let value = Tensor::from_data(data, &param.lazy_device());
        param.transform_for_load(value, id)
    }
}
