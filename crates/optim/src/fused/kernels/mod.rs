//! One file for each form of step: the kernel for flex, and the one for GPUs.

pub(super) mod adagrad;
pub(super) mod adam;
pub(super) mod lamb;
pub(super) mod lars;
pub(super) mod sgd;
pub(super) mod velocity;
