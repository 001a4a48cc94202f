//! An optimizer that several processes share: each steps some of the parameters, and keeps their
//! states only (ZeRO-1: Rajbhandari et al. 2020, arXiv 1910.02054).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::StateSink;
use burn::tensor::Tensor;

use crate::{Driver, OptimError};

impl Driver {
    /// Shares the parameters among `count` processes, of which this is number `rank`. From now on a
    /// step leaves those of the others as they are. Returns the path and the owner of each
    /// parameter, in the module's order.
    ///
    /// A parameter is owned as a whole, so norms and orthogonalised matrices stay what they are. The
    /// largest comes first, each to the process with the fewest elements so far.
    pub fn share<M: Module>(
        &mut self,
        module: &M,
        rank: usize,
        count: usize,
    ) -> Vec<(String, usize)> {
        let size = |shape: &[usize]| shape.iter().product::<usize>();
        let mut slots: Vec<_> = self.slots.iter_mut().collect();
        slots.sort_by_key(|(_, slot)| Reverse(size(&slot.shape)));
        let mut elements = vec![0; count];
        let mut owners = BTreeMap::new();
        for (path, slot) in slots {
            let owner = (0..count).min_by_key(|rank| elements[*rank]).unwrap_or(0);
            elements[owner] += size(&slot.shape);
            slot.is_mine = owner == rank;
            owners.insert(path.clone(), owner);
        }
        self.forget_others();
        let mut paths = Paths::default();
        module.visit(&mut paths);
        let owned = paths.found.into_iter().map(|path| {
            let owner = owners.get(&path).copied().unwrap_or(0);
            (path, owner)
        });
        owned.collect()
    }

    /// Adds the states that another process has [saved](Self::save).
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), OptimError> {
        for (path, state) in self.read(bytes)? {
            if let (Some(slot), Some(state)) = (self.slots.get_mut(&path), state) {
                slot.state = Some(state);
            }
        }
        Ok(())
    }

    /// Drops the states of the parameters that other processes own.
    pub fn forget_others(&mut self) {
        let others = self.slots.values_mut().filter(|slot| !slot.is_mine);
        others.for_each(|slot| slot.state = None);
    }

    /// The size in bytes of the states that this process keeps.
    pub fn state_bytes(&self) -> usize {
        let of_slot = |(path, slot): (&String, &crate::driver::Slot)| {
            let mut sink = StateSink::default();
            if let Some(state) = &slot.state {
                slot.rule.state_flatten(path, state, &mut sink);
            }
            let tensors = sink.tensors.iter().map(|(_, data)| data.as_bytes().len());
            tensors.sum::<usize>() + 8 * sink.scalars.len()
        };
        let mine = self.slots.iter().filter(|(_, slot)| slot.is_mine);
        mine.map(of_slot).sum()
    }
}

/// The paths of the parameters, in the module's order.
#[derive(Default)]
struct Paths {
    names: Vec<String>,
    found: Vec<String>,
}

impl ModuleVisitor for Paths {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.names.push(name.into());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.names.pop();
    }
    fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
        self.found.push(self.names.join("."));
    }
}
