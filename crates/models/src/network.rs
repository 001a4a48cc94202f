//! A network of any type behind a pointer, so that code over networks is compiled once.

use std::any::Any;
use std::fmt::{self, Debug};

use burn::module::{Devices, Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Device, Int, Tensor};
use largebatch_kernels::with_rank;

use crate::{ForwardPass, Link};

/// A network: maps a batch of flat examples to outputs.
pub trait Forward: Module + Sync + 'static {
    /// x is `[batch, features]`, an image row by row within each channel; the result is
    /// `[batch, outputs]`.
    fn forward(&self, x: Tensor<2>, pass: &mut ForwardPass) -> Tensor<2>;

    /// The layers, if the network applies one after the other: it is then trained without a graph
    /// where that is possible, with the same bits. By default `None`.
    fn links(&self) -> Option<Vec<Link<'_>>> {
        None
    }
}

/// A network of any type.
///
/// [`Module`] is not dyn-compatible, because its visitors are generic; here they are passed by
/// reference, and the rank of a parameter is known at run time.
pub struct Network(Box<dyn DynNetwork>);

impl Network {
    /// The network behind a pointer.
    pub fn new<N: Forward>(network: N) -> Self {
        Network(Box::new(network))
    }

    /// The network itself, if it is of this type.
    pub fn downcast_ref<N: Forward>(&self) -> Option<&N> {
        self.0.as_any().downcast_ref()
    }
}

impl Clone for Network {
    fn clone(&self) -> Self {
        Network(self.0.boxed())
    }
}

impl Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Forward for Network {
    fn forward(&self, x: Tensor<2>, pass: &mut ForwardPass) -> Tensor<2> {
        self.0.forward(x, pass)
    }
    fn links(&self) -> Option<Vec<Link<'_>>> {
        self.0.links()
    }
}

impl Module for Network {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.0.collect_devices(devices)
    }
    fn fork(self, device: &Device) -> Self {
        Network(self.0.fork(device))
    }
    fn to_device(self, device: &Device) -> Self {
        Network(self.0.to_device(device))
    }
    fn train(self) -> Self {
        Network(self.0.train())
    }
    fn valid(&self) -> Self {
        Network(self.0.valid())
    }
    fn materialize(self) -> Self {
        Network(self.0.materialize())
    }
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.0.visit(visitor)
    }
    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        Network(self.0.map(mapper))
    }
}

/// What [`Network`] asks of the network that it holds.
trait DynNetwork: Debug + Send + Sync {
    fn forward(&self, x: Tensor<2>, pass: &mut ForwardPass) -> Tensor<2>;
    fn links(&self) -> Option<Vec<Link<'_>>>;
    fn as_any(&self) -> &dyn Any;
    fn boxed(&self) -> Box<dyn DynNetwork>;
    fn collect_devices(&self, devices: Devices) -> Devices;
    fn fork(self: Box<Self>, device: &Device) -> Box<dyn DynNetwork>;
    fn to_device(self: Box<Self>, device: &Device) -> Box<dyn DynNetwork>;
    fn train(self: Box<Self>) -> Box<dyn DynNetwork>;
    fn valid(&self) -> Box<dyn DynNetwork>;
    fn materialize(self: Box<Self>) -> Box<dyn DynNetwork>;
    fn visit(&self, visitor: &mut dyn DynVisitor);
    fn map(self: Box<Self>, mapper: &mut dyn DynMapper) -> Box<dyn DynNetwork>;
}

impl<N: Forward> DynNetwork for N {
    fn forward(&self, x: Tensor<2>, pass: &mut ForwardPass) -> Tensor<2> {
        Forward::forward(self, x, pass)
    }
    fn links(&self) -> Option<Vec<Link<'_>>> {
        Forward::links(self)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn boxed(&self) -> Box<dyn DynNetwork> {
        Box::new(self.clone())
    }
    fn collect_devices(&self, devices: Devices) -> Devices {
        Module::collect_devices(self, devices)
    }
    fn fork(self: Box<Self>, device: &Device) -> Box<dyn DynNetwork> {
        Box::new(Module::fork(*self, device))
    }
    fn to_device(self: Box<Self>, device: &Device) -> Box<dyn DynNetwork> {
        Box::new(Module::to_device(*self, device))
    }
    fn train(self: Box<Self>) -> Box<dyn DynNetwork> {
        Box::new(Module::train(*self))
    }
    fn valid(&self) -> Box<dyn DynNetwork> {
        Box::new(Module::valid(self))
    }
    fn materialize(self: Box<Self>) -> Box<dyn DynNetwork> {
        Box::new(Module::materialize(*self))
    }
    fn visit(&self, visitor: &mut dyn DynVisitor) {
        Module::visit(self, &mut Visitor(visitor))
    }
    fn map(self: Box<Self>, mapper: &mut dyn DynMapper) -> Box<dyn DynNetwork> {
        Box::new(Module::map(*self, &mut Mapper(mapper)))
    }
}

const RANK: &str = "Burn's tensors have 1 to 8 dimensions";

/// A [`ModuleVisitor`] behind a pointer. A parameter comes with its rank and as [`Any`].
trait DynVisitor {
    fn enter(&mut self, name: &str, container: &str);
    fn exit(&mut self, name: &str, container: &str);
    fn float(&mut self, rank: usize, param: &dyn Any);
    fn int(&mut self, rank: usize, param: &dyn Any);
    fn bool(&mut self, rank: usize, param: &dyn Any);
    fn flag(&mut self, flag: &Param<Flag>);
}

/// Hands a parameter to `visit` if it is of its type, which the rank ensures.
fn given<P: 'static>(param: &dyn Any, visit: impl FnOnce(&P)) {
    if let Some(param) = param.downcast_ref() {
        visit(param)
    }
}

impl<V: ModuleVisitor> DynVisitor for V {
    fn enter(&mut self, name: &str, container: &str) {
        self.enter_module(name, container)
    }
    fn exit(&mut self, name: &str, container: &str) {
        self.exit_module(name, container)
    }
    fn float(&mut self, rank: usize, param: &dyn Any) {
        with_rank!(rank, D => given(param, |p| self.visit_float::<D>(p)), else unreachable!("{RANK}"))
    }
    fn int(&mut self, rank: usize, param: &dyn Any) {
        with_rank!(rank, D => given(param, |p| self.visit_int::<D>(p)), else unreachable!("{RANK}"))
    }
    fn bool(&mut self, rank: usize, param: &dyn Any) {
        with_rank!(rank, D => given(param, |p| self.visit_bool::<D>(p)), else unreachable!("{RANK}"))
    }
    fn flag(&mut self, flag: &Param<Flag>) {
        self.visit_flag(flag)
    }
}

/// The other direction: a pointer to a visitor as a [`ModuleVisitor`].
struct Visitor<'a>(&'a mut dyn DynVisitor);

impl ModuleVisitor for Visitor<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container)
    }
    fn exit_module(&mut self, name: &str, container: &str) {
        self.0.exit(name, container)
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.float(D, param)
    }
    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.0.int(D, param)
    }
    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.0.bool(D, param)
    }
    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.0.flag(flag)
    }
}

/// A [`ModuleMapper`] behind a pointer. A parameter comes as an `Option`, is taken, and put back.
trait DynMapper {
    fn enter(&mut self, name: &str, container: &str);
    fn exit(&mut self, name: &str, container: &str);
    fn float(&mut self, rank: usize, param: &mut dyn Any);
    fn int(&mut self, rank: usize, param: &mut dyn Any);
    fn bool(&mut self, rank: usize, param: &mut dyn Any);
    fn flag(&mut self, flag: Param<Flag>) -> Param<Flag>;
}

/// Maps the parameter in an `Option` of its type, which the rank ensures.
fn replaced<P: 'static>(slot: &mut dyn Any, map: impl FnOnce(P) -> P) {
    if let Some(slot) = slot.downcast_mut::<Option<P>>() {
        *slot = slot.take().map(map);
    }
}

impl<M: ModuleMapper> DynMapper for M {
    fn enter(&mut self, name: &str, container: &str) {
        self.enter_module(name, container)
    }
    fn exit(&mut self, name: &str, container: &str) {
        self.exit_module(name, container)
    }
    fn float(&mut self, rank: usize, slot: &mut dyn Any) {
        with_rank!(rank, D => replaced(slot, |p| self.map_float::<D>(p)), else unreachable!("{RANK}"))
    }
    fn int(&mut self, rank: usize, slot: &mut dyn Any) {
        with_rank!(rank, D => replaced(slot, |p| self.map_int::<D>(p)), else unreachable!("{RANK}"))
    }
    fn bool(&mut self, rank: usize, slot: &mut dyn Any) {
        with_rank!(rank, D => replaced(slot, |p| self.map_bool::<D>(p)), else unreachable!("{RANK}"))
    }
    fn flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        self.map_flag(flag)
    }
}

/// The other direction: a pointer to a mapper as a [`ModuleMapper`].
struct Mapper<'a>(&'a mut dyn DynMapper);

/// What a mapper put back.
fn back<P: 'static>(param: P, map: impl FnOnce(&mut dyn Any)) -> P {
    let mut slot = Some(param);
    map(&mut slot);
    slot.expect("a mapper returns the parameter that it took")
}

impl ModuleMapper for Mapper<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container)
    }
    fn exit_module(&mut self, name: &str, container: &str) {
        self.0.exit(name, container)
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        back(param, |slot| self.0.float(D, slot))
    }
    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        back(param, |slot| self.0.int(D, slot))
    }
    fn map_bool<const D: usize>(
        &mut self,
        param: Param<Tensor<D, Bool>>,
    ) -> Param<Tensor<D, Bool>> {
        back(param, |slot| self.0.bool(D, slot))
    }
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        self.0.flag(flag)
    }
}
