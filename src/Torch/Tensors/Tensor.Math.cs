// Arithmetic, functions of each element, and products.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public partial class Tensor
{
    public static Tensor operator +(Tensor a, Tensor b) => a.add(b);
    public static Tensor operator +(Tensor a, Scalar b) => a.add(b);
    public static Tensor operator +(Scalar a, Tensor b) => b.add(a);
    public static Tensor operator -(Tensor a, Tensor b) => a.sub(b);
    public static Tensor operator -(Tensor a, Scalar b) => a.sub(b);
    public static Tensor operator -(Scalar a, Tensor b) => Aten.rsub.Tensor(b, a);
    public static Tensor operator -(Tensor a) => a.neg();
    public static Tensor operator *(Tensor a, Tensor b) => a.mul(b);
    public static Tensor operator *(Tensor a, Scalar b) => a.mul(b);
    public static Tensor operator *(Scalar a, Tensor b) => b.mul(a);
    public static Tensor operator /(Tensor a, Tensor b) => a.div(b);
    public static Tensor operator /(Tensor a, Scalar b) => a.div(b);
    public static Tensor operator /(Scalar a, Tensor b)
    {
        using var inverse = b.reciprocal();
        return inverse.mul(a);
    }

    public static Tensor operator &(Tensor a, Tensor b) => a.bitwise_and(b);
    public static Tensor operator |(Tensor a, Tensor b) => a.bitwise_or(b);
    public static Tensor operator ~(Tensor a) => Aten.bitwise_not.Tensor(a);
    public static Tensor operator >(Tensor a, Scalar b) => a.gt(b);
    public static Tensor operator <(Tensor a, Scalar b) => a.lt(b);
    public static Tensor operator >=(Tensor a, Scalar b) => a.ge(b);
    public static Tensor operator <=(Tensor a, Scalar b) => a.le(b);

    public Tensor add(Tensor other) => Aten.add.Tensor(this, other);
    public Tensor add(Tensor other, Scalar alpha) => Aten.add.Tensor(this, other, alpha);
    public Tensor add(Scalar other) => Aten.add_scalar.Tensor(this, other);
    public Tensor add_(Tensor other) => Changed(Aten.add_, other);
    public Tensor add_(Tensor other, Scalar alpha) => Changed(Aten.add_, other, alpha);
    public Tensor add_(Scalar other) => Changed(Aten.add_scalar_, other);
    public Tensor sub(Tensor other) => Aten.sub.Tensor(this, other);
    public Tensor sub(Scalar other) => Aten.sub_scalar.Tensor(this, other);
    public Tensor sub_(Tensor other) => Changed(Aten.sub_, other);
    public Tensor sub_(Scalar other) => Changed(Aten.sub_scalar_, other);
    public Tensor mul(Tensor other) => Aten.mul.Tensor(this, other);
    public Tensor mul(Scalar other) => Aten.mul_scalar.Tensor(this, other);
    public Tensor mul_(Tensor other) => Changed(Aten.mul_, other);
    public Tensor mul_(Scalar other) => Changed(Aten.mul_scalar_, other);
    public Tensor div(Tensor other) => Aten.div.Tensor(this, other);
    public Tensor div(Scalar other) => Aten.div_scalar.Tensor(this, other);
    public Tensor div_(Tensor other) => Changed(Aten.div_, other);
    public Tensor div_(Scalar other) => Changed(Aten.div_scalar_, other);
    public Tensor acos() => Aten.acos.Tensor(this);
    public Tensor remainder(Scalar other) => Aten.remainder.Tensor(this, other);
    public Tensor floor_divide(Tensor other) => Aten.floor_divide.Tensor(this, other);
    public Tensor pow(Scalar exponent) => Aten.pow.Tensor(this, exponent);
    public Tensor pow(Tensor exponent) => Aten.pow_tensor.Tensor(this, exponent);
    public Tensor addcmul_(Tensor tensor1, Tensor tensor2, Scalar value) => Changed(Aten.addcmul_, tensor1, tensor2, value);
    public Tensor addcdiv_(Tensor tensor1, Tensor tensor2, Scalar value) => Changed(Aten.addcdiv_, tensor1, tensor2, value);
    public Tensor lerp(Tensor end, Tensor weight) => Aten.lerp.Tensor(this, end, weight);
    public Tensor lerp_(Tensor end, Scalar weight) => Changed(Aten.lerp_scalar_, end, weight);
    public Tensor maximum(Tensor other) => Aten.maximum.Tensor(this, other);
    public Tensor minimum(Tensor other) => Aten.minimum.Tensor(this, other);

    public Tensor neg() => Aten.neg.Tensor(this);
    public Tensor abs() => Aten.abs.Tensor(this);
    public Tensor sign() => Aten.sign.Tensor(this);
    public Tensor sqrt() => Aten.sqrt.Tensor(this);
    public Tensor rsqrt() => Aten.rsqrt.Tensor(this);
    public Tensor square() => Aten.square.Tensor(this);
    public Tensor reciprocal() => Aten.reciprocal.Tensor(this);
    public Tensor exp() => Aten.exp.Tensor(this);
    public Tensor expm1() => Aten.expm1.Tensor(this);
    public Tensor log() => Aten.log.Tensor(this);
    public Tensor log1p() => Aten.log1p.Tensor(this);
    public Tensor sin() => Aten.sin.Tensor(this);
    public Tensor cos() => Aten.cos.Tensor(this);
    public Tensor tanh() => Aten.tanh.Tensor(this);
    public Tensor sigmoid() => Aten.sigmoid.Tensor(this);
    public Tensor relu() => Aten.relu.Tensor(this);
    public Tensor silu() => Aten.silu.Tensor(this);
    public Tensor gelu() => Aten.gelu.Tensor(this);
    public Tensor erf() => Aten.erf.Tensor(this);
    public Tensor round() => Aten.round.Tensor(this);
    public Tensor floor() => Aten.floor.Tensor(this);
    public Tensor ceil() => Aten.ceil.Tensor(this);
    public Tensor trunc() => Aten.trunc.Tensor(this);
    public Tensor clamp(Scalar? min = null, Scalar? max = null) => Aten.clamp.Tensor(this, min, max);
    public Tensor clamp_(Scalar? min = null, Scalar? max = null)
    {
        Aten.clamp_.InPlace(this, min, max);
        return this;
    }

    public Tensor sqrt_() => Changed(Aten.sqrt_);
    public Tensor exp_() => Changed(Aten.exp_);
    public Tensor neg_() => Changed(Aten.neg_);

    public Tensor cumsum(long dim, torch.ScalarType? type = null) => Aten.cumsum.Tensor(this, dim, type);
    public Tensor matmul(Tensor other) => Aten.matmul.Tensor(this, other);
    public Tensor mm(Tensor mat2) => Aten.mm.Tensor(this, mat2);
    public Tensor mv(Tensor vec) => Aten.mv.Tensor(this, vec);
    public Tensor bmm(Tensor batch2) => Aten.bmm.Tensor(this, batch2);
    public Tensor dot(Tensor other) => Aten.dot.Tensor(this, other);
    public Tensor outer(Tensor other) => Aten.outer.Tensor(this, other);
    public Tensor addmm(Tensor mat1, Tensor mat2, float beta = 1, float alpha = 1) => Aten.addmm.Tensor(this, mat1, mat2, (double)beta, (double)alpha);
    public Tensor addmm_(Tensor mat1, Tensor mat2, float beta = 1, float alpha = 1)
    {
        Aten.addmm_.InPlace(this, mat1, mat2, (double)beta, (double)alpha);
        return this;
    }

    public Tensor baddbmm(Tensor batch1, Tensor batch2, float beta = 1, float alpha = 1) => Aten.baddbmm.Tensor(this, batch1, batch2, (double)beta, (double)alpha);

    public Tensor bitwise_and(Tensor other) => Aten.bitwise_and.Tensor(this, other);
    public Tensor bitwise_or(Tensor other) => Aten.bitwise_or.Tensor(this, other);
    public Tensor bitwise_xor(Tensor other) => Aten.bitwise_xor.Tensor(this, other);
    public Tensor bitwise_not() => Aten.bitwise_not.Tensor(this);
    public Tensor bitwise_left_shift(Tensor other) => Aten.bitwise_left_shift.Tensor(this, other);
    public Tensor bitwise_right_shift(Tensor other) => Aten.bitwise_right_shift.Tensor(this, other);
    public Tensor logical_and(Tensor other) => Aten.logical_and.Tensor(this, other);
    public Tensor logical_or(Tensor other) => Aten.logical_or.Tensor(this, other);
    public Tensor logical_not() => Aten.logical_not.Tensor(this);

    public Tensor eq(Tensor other) => Aten.eq.Tensor(this, other);
    public Tensor eq(Scalar other) => Aten.eq_scalar.Tensor(this, other);
    public Tensor ne(Tensor other) => Aten.ne.Tensor(this, other);
    public Tensor ne(Scalar other) => Aten.ne_scalar.Tensor(this, other);
    public Tensor lt(Tensor other) => Aten.lt.Tensor(this, other);
    public Tensor lt(Scalar other) => Aten.lt_scalar.Tensor(this, other);
    public Tensor le(Tensor other) => Aten.le.Tensor(this, other);
    public Tensor le(Scalar other) => Aten.le_scalar.Tensor(this, other);
    public Tensor gt(Tensor other) => Aten.gt.Tensor(this, other);
    public Tensor gt(Scalar other) => Aten.gt_scalar.Tensor(this, other);
    public Tensor ge(Tensor other) => Aten.ge.Tensor(this, other);
    public Tensor ge(Scalar other) => Aten.ge_scalar.Tensor(this, other);
    public Tensor isnan() => Aten.isnan.Tensor(this);
    public Tensor isinf() => Aten.isinf.Tensor(this);
    public Tensor isfinite() => Aten.isfinite.Tensor(this);
    public bool allclose(Tensor target, double rtol = 1e-05, double atol = 1e-08, bool equal_nan = false) => Aten.allclose.Bool(this, target, rtol, atol, equal_nan);
    public bool equal(Tensor target) => Aten.equal.Bool(this, target);
}
