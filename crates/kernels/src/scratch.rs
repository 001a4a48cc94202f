//! Memory for intermediate results that is kept from call to call: a training step that is repeated
//! allocates nothing.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

/// Numbers whose memory, when they are dropped, serves the same thread again.
pub(crate) struct Scratch<T: Number>(Vec<T>);

/// The types of numbers.
pub(crate) trait Number: Copy + Default + 'static {
    /// The memory of this thread that is not in use.
    fn unused() -> &'static LocalKey<RefCell<Vec<Vec<Self>>>>;
}

macro_rules! number {
    ($type:ty) => {
        impl Number for $type {
            fn unused() -> &'static LocalKey<RefCell<Vec<Vec<Self>>>> {
                thread_local!(static UNUSED: RefCell<Vec<Vec<$type>>> = const { RefCell::new(Vec::new()) });
                &UNUSED
            }
        }
    };
}
number!(f32);
number!(f64);

impl<T: Number> Scratch<T> {
    /// n zeros.
    pub fn zeros(n: usize) -> Self {
        std::iter::repeat_n(T::default(), n).collect()
    }
}

impl<T: Number> FromIterator<T> for Scratch<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut memory = T::unused().with_borrow_mut(Vec::pop).unwrap_or_default();
        memory.clear();
        memory.extend(values);
        Scratch(memory)
    }
}

impl<T: Number> Drop for Scratch<T> {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.0);
        T::unused().with_borrow_mut(|unused| unused.push(memory));
    }
}

impl<T: Number> Deref for Scratch<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Number> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}
