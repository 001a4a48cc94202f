use burn::optim::{StateSink, StateSource};
use burn::tensor::{Device, Tensor};
use burn_pack::Scalar;

/// A type that can be a field of a rule's state: a tensor, a count, a number in 64 bits, or an `Option`
/// of one.
pub trait Field: Sized {
    /// Adds the field to the state that is saved.
    fn put(&self, prefix: &str, name: &str, out: &mut StateSink);
    /// Takes the field from a saved state. `None` if it is missing or has another rank.
    fn take(prefix: &str, name: &str, from: &mut StateSource, device: &Device) -> Option<Self>;
    /// Moves the field to a device.
    fn to_device(self, device: &Device) -> Self;
}

impl<const D: usize> Field for Tensor<D> {
    fn put(&self, prefix: &str, name: &str, out: &mut StateSink) {
        out.push_tensor(prefix, name, self.to_data());
    }
    fn take(prefix: &str, name: &str, from: &mut StateSource, device: &Device) -> Option<Self> {
        let data = from.take_tensor(prefix, name)?;
        let dtype = data.dtype();
        // The dtype is named because Burn's own derive would turn f64 into the device's default
        // float.
        (data.rank() == D).then(|| Tensor::from_data(data, (device, dtype)))
    }
    fn to_device(self, device: &Device) -> Self {
        Tensor::to_device(self, device)
    }
}

impl Field for u64 {
    fn put(&self, prefix: &str, name: &str, out: &mut StateSink) {
        out.push_scalar(prefix, name, Scalar::from(*self));
    }
    fn take(prefix: &str, name: &str, from: &mut StateSource, _: &Device) -> Option<Self> {
        u64::try_from(from.take_scalar(prefix, name)?).ok()
    }
    fn to_device(self, _: &Device) -> Self {
        self
    }
}

/// Saved with all its bits.
impl Field for f64 {
    fn put(&self, prefix: &str, name: &str, out: &mut StateSink) {
        out.push_scalar(prefix, name, Scalar::Float(*self));
    }
    fn take(prefix: &str, name: &str, from: &mut StateSource, _: &Device) -> Option<Self> {
        match from.take_scalar(prefix, name)? {
            Scalar::Float(x) => Some(x),
            _ => None,
        }
    }
    fn to_device(self, _: &Device) -> Self {
        self
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, prefix: &str, name: &str, out: &mut StateSink) {
        if let Some(value) = self {
            value.put(prefix, name, out);
        }
    }
    fn take(prefix: &str, name: &str, from: &mut StateSource, device: &Device) -> Option<Self> {
        Some(T::take(prefix, name, from, device))
    }
    fn to_device(self, device: &Device) -> Self {
        self.map(|value| value.to_device(device))
    }
}

/// Defines the state that a rule keeps for a parameter of rank `D`, with the code to save, load and
/// move it.
///
/// Unlike Burn's `#[derive(RecordState)]`, it needs no other crate and no names at the crate root,
/// and it restores f64 as f64.
///
/// ```
/// use burn::tensor::Tensor;
///
/// largebatch_optim::state! {
///     /// The state of the heavy-ball method.
///     pub struct Velocity<const D: usize> {
///         /// Velocity v, of the parameter's shape.
///         pub velocity: Tensor<D>,
///         /// Steps done.
///         pub time: u64,
///     }
/// }
/// ```
#[macro_export]
macro_rules! state {
    ($(#[$meta:meta])* pub struct $name:ident<const D: usize> { $($(#[$doc:meta])* pub $field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name<const D: usize> {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl<const D: usize> $crate::burn::optim::RecordState for $name<D> {
            fn state_flatten(&self, prefix: &str, out: &mut $crate::burn::optim::StateSink) {
                $($crate::Field::put(&self.$field, prefix, stringify!($field), out);)*
            }
            fn state_unflatten(
                prefix: &str,
                from: &mut $crate::burn::optim::StateSource,
                device: &$crate::burn::tensor::Device,
            ) -> Option<Self> {
                Some($name { $($field: $crate::Field::take(prefix, stringify!($field), from, device)?,)* })
            }
        }

        impl<const D: usize> $name<D> {
            /// The state on another device.
            pub fn to_device(self, device: &$crate::burn::tensor::Device) -> Self {
                $name { $($field: $crate::Field::to_device(self.$field, device),)* }
            }
        }
    };
}
