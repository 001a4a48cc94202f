//! The sum of a slice has the bits of Burn's CPU backend.

use burn::tensor::{Device, Tensor, TensorData};
use largebatch_kernels::slices;

#[test]
fn sums_have_the_bits_of_flex() {
    for n in (1..300).chain([4095, 4096, 4097, 100_003]) {
        let x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin() * 1e3).collect();
        let t = Tensor::<2>::from_data(TensorData::new(x.clone(), [1, n]), &Device::flex());
        let wanted: [f32; 2] = [t.clone().sum_dim(1).into_scalar(), t.sum().into_scalar()];
        let found = [slices::sum(&x); 2];
        assert_eq!(found.map(f32::to_bits), wanted.map(f32::to_bits), "{n}");
    }
}
