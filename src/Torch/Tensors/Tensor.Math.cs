// Arithmetic, functions of each element, and products.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public partial class Tensor
{
    /// <summary>a + b, elementwise with broadcasting.</summary>
    public static Tensor operator +(Tensor a, Tensor b) => a.add(b);

    /// <summary>a + b, elementwise with broadcasting.</summary>
    public static Tensor operator +(Tensor a, Scalar b) => a.add(b);

    /// <summary>a + b, elementwise with broadcasting.</summary>
    public static Tensor operator +(Scalar a, Tensor b) => b.add(a);

    /// <summary>a - b, elementwise with broadcasting.</summary>
    public static Tensor operator -(Tensor a, Tensor b) => a.sub(b);

    /// <summary>a - b, elementwise with broadcasting.</summary>
    public static Tensor operator -(Tensor a, Scalar b) => a.sub(b);

    /// <summary>a - b, elementwise with broadcasting.</summary>
    public static Tensor operator -(Scalar a, Tensor b) => Aten.rsub.Tensor(b, a);

    /// <summary>-a, elementwise.</summary>
    public static Tensor operator -(Tensor a) => a.neg();

    /// <summary>a * b, elementwise with broadcasting.</summary>
    public static Tensor operator *(Tensor a, Tensor b) => a.mul(b);

    /// <summary>a * b, elementwise with broadcasting.</summary>
    public static Tensor operator *(Tensor a, Scalar b) => a.mul(b);

    /// <summary>a * b, elementwise with broadcasting.</summary>
    public static Tensor operator *(Scalar a, Tensor b) => b.mul(a);

    /// <summary>a / b, elementwise with broadcasting; integers give floating results.</summary>
    public static Tensor operator /(Tensor a, Tensor b) => a.div(b);

    /// <summary>a / b, elementwise with broadcasting; integers give floating results.</summary>
    public static Tensor operator /(Tensor a, Scalar b) => a.div(b);

    /// <summary>a / b, elementwise, as a times the reciprocal of b.</summary>
    public static Tensor operator /(Scalar a, Tensor b)
    {
        using var inverse = b.reciprocal();
        return inverse.mul(a);
    }

    /// <summary>Bitwise and with broadcasting; of bool the logical one.</summary>
    public static Tensor operator &(Tensor a, Tensor b) => a.bitwise_and(b);

    /// <summary>Bitwise or with broadcasting; of bool the logical one.</summary>
    public static Tensor operator |(Tensor a, Tensor b) => a.bitwise_or(b);

    /// <summary>Bitwise complement; of bool the logical one.</summary>
    public static Tensor operator ~(Tensor a) => Aten.bitwise_not.Tensor(a);

    /// <summary>a &gt; b, elementwise: bool.</summary>
    public static Tensor operator >(Tensor a, Scalar b) => a.gt(b);

    /// <summary>a &lt; b, elementwise: bool.</summary>
    public static Tensor operator <(Tensor a, Scalar b) => a.lt(b);

    /// <summary>a &gt;= b, elementwise: bool.</summary>
    public static Tensor operator >=(Tensor a, Scalar b) => a.ge(b);

    /// <summary>a &lt;= b, elementwise: bool.</summary>
    public static Tensor operator <=(Tensor a, Scalar b) => a.le(b);

    /// <summary>this + other, elementwise with broadcasting.</summary>
    public Tensor add(Tensor other) => Aten.add.Tensor(this, other);

    /// <summary>this + alpha * other, elementwise with broadcasting.</summary>
    public Tensor add(Tensor other, Scalar alpha) => Aten.add.Tensor(this, other, alpha);

    /// <inheritdoc cref="add(Tensor)"/>
    public Tensor add(Scalar other) => Aten.add_scalar.Tensor(this, other);

    /// <summary>this + other, elementwise, in place; the other tensor is broadcast to this shape.</summary>
    public Tensor add_(Tensor other) => Changed(Aten.add_, other);

    /// <summary>this + alpha * other, elementwise, in place; the other tensor is broadcast to this shape.</summary>
    public Tensor add_(Tensor other, Scalar alpha) => Changed(Aten.add_, other, alpha);

    /// <inheritdoc cref="add_(Tensor)"/>
    public Tensor add_(Scalar other) => Changed(Aten.add_scalar_, other);

    /// <summary>this - other, elementwise with broadcasting.</summary>
    public Tensor sub(Tensor other) => Aten.sub.Tensor(this, other);

    /// <inheritdoc cref="sub(Tensor)"/>
    public Tensor sub(Scalar other) => Aten.sub_scalar.Tensor(this, other);

    /// <summary>this - other, elementwise, in place; the other tensor is broadcast to this shape.</summary>
    public Tensor sub_(Tensor other) => Changed(Aten.sub_, other);

    /// <inheritdoc cref="sub_(Tensor)"/>
    public Tensor sub_(Scalar other) => Changed(Aten.sub_scalar_, other);

    /// <summary>this * other, elementwise with broadcasting.</summary>
    public Tensor mul(Tensor other) => Aten.mul.Tensor(this, other);

    /// <inheritdoc cref="mul(Tensor)"/>
    public Tensor mul(Scalar other) => Aten.mul_scalar.Tensor(this, other);

    /// <summary>this * other, elementwise, in place; the other tensor is broadcast to this shape.</summary>
    public Tensor mul_(Tensor other) => Changed(Aten.mul_, other);

    /// <inheritdoc cref="mul_(Tensor)"/>
    public Tensor mul_(Scalar other) => Changed(Aten.mul_scalar_, other);

    /// <summary>this / other, elementwise with broadcasting; integers give floating results.</summary>
    public Tensor div(Tensor other) => Aten.div.Tensor(this, other);

    /// <inheritdoc cref="div(Tensor)"/>
    public Tensor div(Scalar other) => Aten.div_scalar.Tensor(this, other);

    /// <summary>this / other, elementwise, in place; floating dtypes only. The other tensor is broadcast to this shape.</summary>
    public Tensor div_(Tensor other) => Changed(Aten.div_, other);

    /// <inheritdoc cref="div_(Tensor)"/>
    public Tensor div_(Scalar other) => Changed(Aten.div_scalar_, other);

    /// <summary>Arc cosine in radians, elementwise.</summary>
    public Tensor acos() => Aten.acos.Tensor(this);

    /// <summary>Remainder of the division, elementwise, with the sign of <paramref name="other"/>.</summary>
    public Tensor remainder(Scalar other) => Aten.remainder.Tensor(this, other);

    /// <summary>this / other rounded down, elementwise with broadcasting; the dtype stays integer for integers. No gradients.</summary>
    public Tensor floor_divide(Tensor other) => Aten.floor_divide.Tensor(this, other);

    /// <summary>this^exponent, elementwise.</summary>
    public Tensor pow(Scalar exponent) => Aten.pow.Tensor(this, exponent);

    /// <summary>this^exponent, elementwise with broadcasting.</summary>
    public Tensor pow(Tensor exponent) => Aten.pow_tensor.Tensor(this, exponent);

    /// <summary>this + value * tensor1 * tensor2, elementwise, in place.</summary>
    public Tensor addcmul_(Tensor tensor1, Tensor tensor2, Scalar value) => Changed(Aten.addcmul_, tensor1, tensor2, value);

    /// <summary>this + value * tensor1 / tensor2, elementwise, in place; floating dtypes only.</summary>
    public Tensor addcdiv_(Tensor tensor1, Tensor tensor2, Scalar value) => Changed(Aten.addcdiv_, tensor1, tensor2, value);

    /// <summary>this + weight * (end - this), elementwise with broadcasting.</summary>
    public Tensor lerp(Tensor end, Tensor weight) => Aten.lerp.Tensor(this, end, weight);

    /// <summary>this + weight * (end - this), elementwise, in place.</summary>
    public Tensor lerp_(Tensor end, Scalar weight) => Changed(Aten.lerp_scalar_, end, weight);

    /// <summary>The larger of two elements, elementwise with broadcasting; NaN if either is.</summary>
    public Tensor maximum(Tensor other) => Aten.maximum.Tensor(this, other);

    /// <summary>The smaller of two elements, elementwise with broadcasting; NaN if either is.</summary>
    public Tensor minimum(Tensor other) => Aten.minimum.Tensor(this, other);

    /// <summary>-x, elementwise.</summary>
    public Tensor neg() => Aten.neg.Tensor(this);

    /// <summary>|x|, elementwise.</summary>
    public Tensor abs() => Aten.abs.Tensor(this);

    /// <summary>-1, 0 or 1 by the sign, elementwise; the gradient is 0.</summary>
    public Tensor sign() => Aten.sign.Tensor(this);

    /// <summary>Square root, elementwise.</summary>
    public Tensor sqrt() => Aten.sqrt.Tensor(this);

    /// <summary>1 / sqrt(x), elementwise.</summary>
    public Tensor rsqrt() => Aten.rsqrt.Tensor(this);

    /// <summary>x^2, elementwise.</summary>
    public Tensor square() => Aten.square.Tensor(this);

    /// <summary>1 / x, elementwise; integers give floating results.</summary>
    public Tensor reciprocal() => Aten.reciprocal.Tensor(this);

    /// <summary>e^x, elementwise.</summary>
    public Tensor exp() => Aten.exp.Tensor(this);

    /// <summary>e^x - 1, elementwise, exact for small x.</summary>
    public Tensor expm1() => Aten.expm1.Tensor(this);

    /// <summary>Natural logarithm, elementwise.</summary>
    public Tensor log() => Aten.log.Tensor(this);

    /// <summary>log(1 + x), elementwise, exact for small x.</summary>
    public Tensor log1p() => Aten.log1p.Tensor(this);

    /// <summary>Sine of radians, elementwise.</summary>
    public Tensor sin() => Aten.sin.Tensor(this);

    /// <summary>Cosine of radians, elementwise.</summary>
    public Tensor cos() => Aten.cos.Tensor(this);

    /// <summary>Hyperbolic tangent, elementwise.</summary>
    public Tensor tanh() => Aten.tanh.Tensor(this);

    /// <summary>1 / (1 + e^-x), elementwise.</summary>
    public Tensor sigmoid() => Aten.sigmoid.Tensor(this);

    /// <summary>max(x, 0), elementwise.</summary>
    public Tensor relu() => Aten.relu.Tensor(this);

    /// <summary>x * sigmoid(x), elementwise.</summary>
    public Tensor silu() => Aten.silu.Tensor(this);

    /// <summary>x * (1 + erf(x / sqrt 2)) / 2, elementwise: the exact form, not the one by tanh.</summary>
    public Tensor gelu() => Aten.gelu.Tensor(this);

    /// <summary>Error function, elementwise.</summary>
    public Tensor erf() => Aten.erf.Tensor(this);

    /// <summary>Nearest integer, elementwise, halves to the even one; the gradient is 0.</summary>
    public Tensor round() => Aten.round.Tensor(this);

    /// <summary>Largest integer not above x, elementwise; the gradient is 0.</summary>
    public Tensor floor() => Aten.floor.Tensor(this);

    /// <summary>Smallest integer not below x, elementwise; the gradient is 0.</summary>
    public Tensor ceil() => Aten.ceil.Tensor(this);

    /// <summary>x without its fraction, elementwise; the gradient is 0.</summary>
    public Tensor trunc() => Aten.trunc.Tensor(this);

    /// <summary>x limited to [min, max], elementwise; null is no limit, one at least is needed. Outside no gradient flows.</summary>
    public Tensor clamp(Scalar? min = null, Scalar? max = null) => Aten.clamp.Tensor(this, min, max);

    /// <summary>As <see cref="clamp"/>, in place.</summary>
    public Tensor clamp_(Scalar? min = null, Scalar? max = null)
    {
        Aten.clamp_.InPlace(this, min, max);
        return this;
    }

    /// <summary>Square root, elementwise, in place.</summary>
    public Tensor sqrt_() => Changed(Aten.sqrt_);

    /// <summary>e^x, elementwise, in place.</summary>
    public Tensor exp_() => Changed(Aten.exp_);

    /// <summary>-x, elementwise, in place.</summary>
    public Tensor neg_() => Changed(Aten.neg_);

    /// <summary>Sums of the elements up to each place of a dimension, itself included; in <paramref name="type"/> where given, else integers and bool in int64.</summary>
    public Tensor cumsum(long dim, torch.ScalarType? type = null) => Aten.cumsum.Tensor(this, dim, type);

    /// <summary>Matrix product over the last two dimensions: (..., n, m) and (..., m, p) give (..., n, p), the others broadcast; a 1-d tensor is a vector.</summary>
    public Tensor matmul(Tensor other) => Aten.matmul.Tensor(this, other);

    /// <summary>Matrix product: (n, m) and (m, p) give (n, p).</summary>
    public Tensor mm(Tensor mat2) => Aten.mm.Tensor(this, mat2);

    /// <summary>Matrix times vector: (n, m) and (m) give (n).</summary>
    public Tensor mv(Tensor vec) => Aten.mv.Tensor(this, vec);

    /// <summary>Matrix products of a batch: (b, n, m) and (b, m, p) give (b, n, p).</summary>
    public Tensor bmm(Tensor batch2) => Aten.bmm.Tensor(this, batch2);

    /// <summary>Inner product of two 1-d tensors of one length, without dimensions.</summary>
    public Tensor dot(Tensor other) => Aten.dot.Tensor(this, other);

    /// <summary>Products of all pairs of two 1-d tensors: (n) and (m) give (n, m).</summary>
    public Tensor outer(Tensor other) => Aten.outer.Tensor(this, other);

    /// <summary>beta * this + alpha * (mat1 mat2): (n, m) and (m, p) give (n, p), to which this is broadcast; beta = 0 leaves it out, NaN too.</summary>
    public Tensor addmm(Tensor mat1, Tensor mat2, float beta = 1, float alpha = 1) => Aten.addmm.Tensor(this, mat1, mat2, (double)beta, (double)alpha);

    /// <summary>As <see cref="addmm"/>, in place; this is (n, p).</summary>
    public Tensor addmm_(Tensor mat1, Tensor mat2, float beta = 1, float alpha = 1)
    {
        Aten.addmm_.InPlace(this, mat1, mat2, (double)beta, (double)alpha);
        return this;
    }

    /// <summary>beta * this + alpha * (batch1 batch2): (b, n, m) and (b, m, p) give (b, n, p), to which this is broadcast; beta = 0 leaves it out, NaN too.</summary>
    public Tensor baddbmm(Tensor batch1, Tensor batch2, float beta = 1, float alpha = 1) => Aten.baddbmm.Tensor(this, batch1, batch2, (double)beta, (double)alpha);

    /// <summary>Bitwise and, elementwise with broadcasting, of integers; of bool the logical one.</summary>
    public Tensor bitwise_and(Tensor other) => Aten.bitwise_and.Tensor(this, other);

    /// <summary>Bitwise or, elementwise with broadcasting, of integers; of bool the logical one.</summary>
    public Tensor bitwise_or(Tensor other) => Aten.bitwise_or.Tensor(this, other);

    /// <summary>Bitwise exclusive or, elementwise with broadcasting, of integers; of bool the logical one.</summary>
    public Tensor bitwise_xor(Tensor other) => Aten.bitwise_xor.Tensor(this, other);

    /// <summary>Bitwise complement, elementwise, of integers; of bool the logical one.</summary>
    public Tensor bitwise_not() => Aten.bitwise_not.Tensor(this);

    /// <summary>this * 2^other by shifting bits, elementwise with broadcasting; integers only.</summary>
    public Tensor bitwise_left_shift(Tensor other) => Aten.bitwise_left_shift.Tensor(this, other);

    /// <summary>this / 2^other rounded down by shifting bits, elementwise with broadcasting; integers only.</summary>
    public Tensor bitwise_right_shift(Tensor other) => Aten.bitwise_right_shift.Tensor(this, other);

    /// <summary>Whether neither element is 0, elementwise with broadcasting: bool.</summary>
    public Tensor logical_and(Tensor other) => Aten.logical_and.Tensor(this, other);

    /// <summary>Whether either element is not 0, elementwise with broadcasting: bool.</summary>
    public Tensor logical_or(Tensor other) => Aten.logical_or.Tensor(this, other);

    /// <summary>Whether the element is 0, elementwise: bool.</summary>
    public Tensor logical_not() => Aten.logical_not.Tensor(this);

    /// <summary>this = other, elementwise with broadcasting: bool. NaN equals nothing.</summary>
    public Tensor eq(Tensor other) => Aten.eq.Tensor(this, other);

    /// <inheritdoc cref="eq(Tensor)"/>
    public Tensor eq(Scalar other) => Aten.eq_scalar.Tensor(this, other);

    /// <summary>this != other, elementwise with broadcasting: bool. NaN differs from everything.</summary>
    public Tensor ne(Tensor other) => Aten.ne.Tensor(this, other);

    /// <inheritdoc cref="ne(Tensor)"/>
    public Tensor ne(Scalar other) => Aten.ne_scalar.Tensor(this, other);

    /// <summary>this &lt; other, elementwise with broadcasting: bool.</summary>
    public Tensor lt(Tensor other) => Aten.lt.Tensor(this, other);

    /// <inheritdoc cref="lt(Tensor)"/>
    public Tensor lt(Scalar other) => Aten.lt_scalar.Tensor(this, other);

    /// <summary>this &lt;= other, elementwise with broadcasting: bool.</summary>
    public Tensor le(Tensor other) => Aten.le.Tensor(this, other);

    /// <inheritdoc cref="le(Tensor)"/>
    public Tensor le(Scalar other) => Aten.le_scalar.Tensor(this, other);

    /// <summary>this &gt; other, elementwise with broadcasting: bool.</summary>
    public Tensor gt(Tensor other) => Aten.gt.Tensor(this, other);

    /// <inheritdoc cref="gt(Tensor)"/>
    public Tensor gt(Scalar other) => Aten.gt_scalar.Tensor(this, other);

    /// <summary>this &gt;= other, elementwise with broadcasting: bool.</summary>
    public Tensor ge(Tensor other) => Aten.ge.Tensor(this, other);

    /// <inheritdoc cref="ge(Tensor)"/>
    public Tensor ge(Scalar other) => Aten.ge_scalar.Tensor(this, other);

    /// <summary>Whether the element is NaN: bool.</summary>
    public Tensor isnan() => Aten.isnan.Tensor(this);

    /// <summary>Whether the element is plus or minus infinity: bool.</summary>
    public Tensor isinf() => Aten.isinf.Tensor(this);

    /// <summary>Whether the element is neither infinite nor NaN: bool.</summary>
    public Tensor isfinite() => Aten.isfinite.Tensor(this);

    /// <summary>Whether |this - target| &lt;= atol + rtol * |target| for all elements; NaN equals NaN only where <paramref name="equal_nan"/>.</summary>
    public bool allclose(Tensor target, double rtol = 1e-05, double atol = 1e-08, bool equal_nan = false) => Aten.allclose.Bool(this, target, rtol, atol, equal_nan);

    /// <summary>Whether shape and all elements are the same.</summary>
    public bool equal(Tensor target) => Aten.equal.Bool(this, target);
}
