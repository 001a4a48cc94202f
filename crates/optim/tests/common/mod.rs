//! A module of one vector, and an optimizer that walks over a function of it.
#![allow(dead_code)]

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};
use largebatch_optim::{Driver, OptimizerConfig};

#[derive(Module, Debug)]
pub struct Point {
    pub w: Param<Tensor<2>>,
}

pub fn point(values: &[f64]) -> Point {
    Point {
        w: Param::from_tensor(matrix(values)),
    }
}

/// As a row, so that the exclusion `vectors` does not match it.
pub fn matrix(values: &[f64]) -> Tensor<2> {
    Tensor::from_data(
        TensorData::new(values.to_vec(), [1, values.len()]),
        (&Device::flex(), DType::F64),
    )
}

pub fn values(point: &Point) -> Vec<f64> {
    point.w.val().inner().try_into_vec_as::<f64>().unwrap()
}

/// A driver and its current point.
pub struct Walk {
    pub driver: Driver,
    pub point: Point,
}

pub fn walk(recipe: &impl OptimizerConfig, start: &[f64]) -> Walk {
    let point = point(start);
    Walk {
        driver: Driver::new(recipe, &point).unwrap(),
        point,
    }
}

impl Walk {
    /// A step along the gradient, evaluated at the weights that the rule wants.
    pub fn step(&mut self, lr: f64, gradient: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let at = self
            .driver
            .ahead(&self.point)
            .unwrap_or_else(|| self.point.clone());
        let mut grads = GradientsParams::new();
        grads.register(self.point.w.id, matrix(&gradient(&values(&at))));
        drop(at);
        self.point = self.driver.step(lr, self.point.clone(), grads);
        values(&self.point)
    }
}

pub fn norm(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum::<f64>().sqrt()
}

pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
}
