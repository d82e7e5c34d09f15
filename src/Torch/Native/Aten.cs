// Every operator that src/Torch calls, by its name in libtorch. peftalign::* are our own, registered by native/.
// `peftalign doctor` reports those that the libtorch at hand lacks.

using System.Reflection;

namespace PeftAlign.Torch.Native;

internal static class Aten
{
    // Conversion and views
    internal static readonly Operator to_dtype = new("aten::to", "dtype");
    internal static readonly Operator to_device = new("aten::to", "device");
    internal static readonly Operator contiguous = new("aten::contiguous");
    internal static readonly Operator pin_memory = new("aten::pin_memory");
    internal static readonly Operator clone = new("aten::clone");
    internal static readonly Operator detach = new("aten::detach");
    internal static readonly Operator detach_ = new("aten::detach_");
    internal static readonly Operator view = new("aten::view");
    internal static readonly Operator view_dtype = new("aten::view", "dtype");
    internal static readonly Operator reshape = new("aten::reshape");
    internal static readonly Operator expand = new("aten::expand");
    internal static readonly Operator repeat = new("aten::repeat");
    internal static readonly Operator permute = new("aten::permute");
    internal static readonly Operator transpose = new("aten::transpose", "int");
    internal static readonly Operator t = new("aten::t");
    internal static readonly Operator squeeze = new("aten::squeeze");
    internal static readonly Operator squeeze_dim = new("aten::squeeze", "dim");
    internal static readonly Operator unsqueeze = new("aten::unsqueeze");
    internal static readonly Operator flatten = new("aten::flatten", "using_ints");
    internal static readonly Operator narrow = new("aten::narrow");
    internal static readonly Operator slice = new("aten::slice", "Tensor");
    internal static readonly Operator select = new("aten::select", "int");
    internal static readonly Operator split = new("aten::split", "Tensor");
    internal static readonly Operator split_with_sizes = new("aten::split_with_sizes");
    internal static readonly Operator chunk = new("aten::chunk");
    internal static readonly Operator unbind = new("aten::unbind", "int");
    internal static readonly Operator repeat_interleave = new("aten::repeat_interleave", "self_int");
    internal static readonly Operator repeat_interleave_tensor = new("aten::repeat_interleave", "self_Tensor");
    internal static readonly Operator movedim = new("aten::movedim", "int");
    internal static readonly Operator flip = new("aten::flip");
    internal static readonly Operator roll = new("aten::roll");
    internal static readonly Operator tril = new("aten::tril");
    internal static readonly Operator triu = new("aten::triu");
    internal static readonly Operator diagonal = new("aten::diagonal");

    // Indexing
    internal static readonly Operator index = new("aten::index", "Tensor");
    internal static readonly Operator index_put_ = new("aten::index_put_");
    internal static readonly Operator index_select = new("aten::index_select");
    internal static readonly Operator gather = new("aten::gather");
    internal static readonly Operator take_along_dim = new("aten::take_along_dim");
    internal static readonly Operator scatter = new("aten::scatter", "src");
    internal static readonly Operator scatter_ = new("aten::scatter_", "src");
    internal static readonly Operator scatter_add = new("aten::scatter_add");
    internal static readonly Operator scatter_add_ = new("aten::scatter_add_");
    internal static readonly Operator index_add = new("aten::index_add");
    internal static readonly Operator index_add_ = new("aten::index_add_");
    internal static readonly Operator index_copy_ = new("aten::index_copy_");
    internal static readonly Operator masked_fill = new("aten::masked_fill", "Scalar");
    internal static readonly Operator masked_fill_ = new("aten::masked_fill_", "Scalar");
    internal static readonly Operator masked_select = new("aten::masked_select");
    internal static readonly Operator nonzero = new("aten::nonzero");
    internal static readonly Operator where = new("aten::where", "self");

    // Arithmetic
    internal static readonly Operator add = new("aten::add", "Tensor");
    internal static readonly Operator add_ = new("aten::add_", "Tensor");
    internal static readonly Operator add_scalar = new("aten::add", "Scalar");
    internal static readonly Operator add_scalar_ = new("aten::add_", "Scalar");
    internal static readonly Operator sub = new("aten::sub", "Tensor");
    internal static readonly Operator sub_ = new("aten::sub_", "Tensor");
    internal static readonly Operator sub_scalar = new("aten::sub", "Scalar");
    internal static readonly Operator sub_scalar_ = new("aten::sub_", "Scalar");
    internal static readonly Operator rsub = new("aten::rsub", "Scalar");
    internal static readonly Operator mul = new("aten::mul", "Tensor");
    internal static readonly Operator mul_ = new("aten::mul_", "Tensor");
    internal static readonly Operator mul_scalar = new("aten::mul", "Scalar");
    internal static readonly Operator mul_scalar_ = new("aten::mul_", "Scalar");
    internal static readonly Operator div = new("aten::div", "Tensor");
    internal static readonly Operator div_ = new("aten::div_", "Tensor");
    internal static readonly Operator div_scalar = new("aten::div", "Scalar");
    internal static readonly Operator div_scalar_ = new("aten::div_", "Scalar");
    internal static readonly Operator remainder = new("aten::remainder", "Scalar");
    internal static readonly Operator floor_divide = new("aten::floor_divide");
    internal static readonly Operator pow = new("aten::pow", "Tensor_Scalar");
    internal static readonly Operator pow_tensor = new("aten::pow", "Tensor_Tensor");
    internal static readonly Operator addcmul_ = new("aten::addcmul_");
    internal static readonly Operator addcdiv_ = new("aten::addcdiv_");
    internal static readonly Operator lerp = new("aten::lerp", "Tensor");
    internal static readonly Operator lerp_scalar_ = new("aten::lerp_", "Scalar");
    internal static readonly Operator maximum = new("aten::maximum");
    internal static readonly Operator minimum = new("aten::minimum");
    internal static readonly Operator neg = new("aten::neg");
    internal static readonly Operator neg_ = new("aten::neg_");
    internal static readonly Operator abs = new("aten::abs");
    internal static readonly Operator sign = new("aten::sign");
    internal static readonly Operator sqrt = new("aten::sqrt");
    internal static readonly Operator sqrt_ = new("aten::sqrt_");
    internal static readonly Operator rsqrt = new("aten::rsqrt");
    internal static readonly Operator square = new("aten::square");
    internal static readonly Operator reciprocal = new("aten::reciprocal");
    internal static readonly Operator exp = new("aten::exp");
    internal static readonly Operator exp_ = new("aten::exp_");
    internal static readonly Operator expm1 = new("aten::expm1");
    internal static readonly Operator log = new("aten::log");
    internal static readonly Operator log1p = new("aten::log1p");
    internal static readonly Operator sin = new("aten::sin");
    internal static readonly Operator cos = new("aten::cos");
    internal static readonly Operator tanh = new("aten::tanh");
    internal static readonly Operator sigmoid = new("aten::sigmoid");
    internal static readonly Operator relu = new("aten::relu");
    internal static readonly Operator silu = new("aten::silu");
    internal static readonly Operator gelu = new("aten::gelu");
    internal static readonly Operator erf = new("aten::erf");
    internal static readonly Operator softplus = new("aten::softplus");
    internal static readonly Operator log_sigmoid = new("aten::log_sigmoid");
    internal static readonly Operator round = new("aten::round");
    internal static readonly Operator floor = new("aten::floor");
    internal static readonly Operator ceil = new("aten::ceil");
    internal static readonly Operator trunc = new("aten::trunc");
    internal static readonly Operator clamp = new("aten::clamp");
    internal static readonly Operator clamp_ = new("aten::clamp_");
    internal static readonly Operator cumsum = new("aten::cumsum");

    // Products
    internal static readonly Operator matmul = new("aten::matmul");
    internal static readonly Operator mm = new("aten::mm");
    internal static readonly Operator mv = new("aten::mv");
    internal static readonly Operator bmm = new("aten::bmm");
    internal static readonly Operator dot = new("aten::dot");
    internal static readonly Operator outer = new("aten::outer");
    internal static readonly Operator addmm = new("aten::addmm");
    internal static readonly Operator addmm_ = new("aten::addmm_");
    internal static readonly Operator baddbmm = new("aten::baddbmm");
    internal static readonly Operator linear = new("aten::linear");
    internal static readonly Operator einsum = new("aten::einsum");

    // Bits and comparisons
    internal static readonly Operator bitwise_and = new("aten::bitwise_and", "Tensor");
    internal static readonly Operator bitwise_or = new("aten::bitwise_or", "Tensor");
    internal static readonly Operator bitwise_xor = new("aten::bitwise_xor", "Tensor");
    internal static readonly Operator bitwise_not = new("aten::bitwise_not");
    internal static readonly Operator bitwise_left_shift = new("aten::bitwise_left_shift", "Tensor");
    internal static readonly Operator bitwise_right_shift = new("aten::bitwise_right_shift", "Tensor");
    internal static readonly Operator logical_and = new("aten::logical_and");
    internal static readonly Operator logical_or = new("aten::logical_or");
    internal static readonly Operator logical_not = new("aten::logical_not");
    internal static readonly Operator eq = new("aten::eq", "Tensor");
    internal static readonly Operator eq_scalar = new("aten::eq", "Scalar");
    internal static readonly Operator ne = new("aten::ne", "Tensor");
    internal static readonly Operator ne_scalar = new("aten::ne", "Scalar");
    internal static readonly Operator lt = new("aten::lt", "Tensor");
    internal static readonly Operator lt_scalar = new("aten::lt", "Scalar");
    internal static readonly Operator le = new("aten::le", "Tensor");
    internal static readonly Operator le_scalar = new("aten::le", "Scalar");
    internal static readonly Operator gt = new("aten::gt", "Tensor");
    internal static readonly Operator gt_scalar = new("aten::gt", "Scalar");
    internal static readonly Operator ge = new("aten::ge", "Tensor");
    internal static readonly Operator ge_scalar = new("aten::ge", "Scalar");
    internal static readonly Operator isnan = new("aten::isnan");
    internal static readonly Operator isinf = new("aten::isinf");
    internal static readonly Operator isfinite = new("aten::isfinite");
    internal static readonly Operator allclose = new("aten::allclose");
    internal static readonly Operator equal = new("aten::equal");

    // Reductions
    internal static readonly Operator sum = new("aten::sum");
    internal static readonly Operator sum_dim = new("aten::sum", "dim_IntList");
    internal static readonly Operator mean = new("aten::mean");
    internal static readonly Operator mean_dim = new("aten::mean", "dim");
    internal static readonly Operator prod = new("aten::prod");
    internal static readonly Operator std = new("aten::std");
    internal static readonly Operator std_dim = new("aten::std", "dim");
    internal static readonly Operator var = new("aten::var");
    internal static readonly Operator var_dim = new("aten::var", "dim");
    internal static readonly Operator max = new("aten::max");
    internal static readonly Operator max_dim = new("aten::max", "dim");
    internal static readonly Operator min = new("aten::min");
    internal static readonly Operator min_dim = new("aten::min", "dim");
    internal static readonly Operator amax = new("aten::amax");
    internal static readonly Operator amin = new("aten::amin");
    internal static readonly Operator argmax = new("aten::argmax");
    internal static readonly Operator argmin = new("aten::argmin");
    internal static readonly Operator acos = new("aten::acos");
    internal static readonly Operator argsort = new("aten::argsort");
    internal static readonly Operator sort = new("aten::sort", "stable");
    internal static readonly Operator topk = new("aten::topk");
    internal static readonly Operator kthvalue = new("aten::kthvalue");
    internal static readonly Operator norm = new("aten::norm", "Scalar");
    internal static readonly Operator norm_dim = new("aten::norm", "ScalarOpt_dim");
    internal static readonly Operator logsumexp = new("aten::logsumexp");
    internal static readonly Operator softmax = new("aten::softmax", "int");
    internal static readonly Operator log_softmax = new("aten::log_softmax", "int");
    internal static readonly Operator all = new("aten::all");
    internal static readonly Operator all_dim = new("aten::all", "dim");
    internal static readonly Operator any = new("aten::any");
    internal static readonly Operator any_dim = new("aten::any", "dim");
    internal static readonly Operator count_nonzero = new("aten::count_nonzero");

    // Random numbers and filling
    internal static readonly Operator multinomial = new("aten::multinomial");
    internal static readonly Operator bernoulli = new("aten::bernoulli");
    internal static readonly Operator bernoulli_ = new("aten::bernoulli_", "float");
    internal static readonly Operator normal_ = new("aten::normal_");
    internal static readonly Operator uniform_ = new("aten::uniform_");
    internal static readonly Operator copy_ = new("aten::copy_");
    internal static readonly Operator fill_ = new("aten::fill_", "Scalar");
    internal static readonly Operator zero_ = new("aten::zero_");

    // Factories and joins
    internal static readonly Operator zeros = new("aten::zeros");
    internal static readonly Operator ones = new("aten::ones");
    internal static readonly Operator empty = new("aten::empty", "memory_format");
    internal static readonly Operator full = new("aten::full");
    internal static readonly Operator zeros_like = new("aten::zeros_like");
    internal static readonly Operator ones_like = new("aten::ones_like");
    internal static readonly Operator empty_like = new("aten::empty_like");
    internal static readonly Operator full_like = new("aten::full_like");
    internal static readonly Operator rand = new("aten::rand", "generator");
    internal static readonly Operator randn = new("aten::randn", "generator");
    internal static readonly Operator randint = new("aten::randint", "low_generator");
    internal static readonly Operator randperm = new("aten::randperm", "generator");
    internal static readonly Operator arange = new("aten::arange", "start_step");
    internal static readonly Operator linspace = new("aten::linspace");
    internal static readonly Operator eye = new("aten::eye", "m");
    internal static readonly Operator cat = new("aten::cat");
    internal static readonly Operator stack = new("aten::stack");

    // Neural networks
    internal static readonly Operator relu_ = new("aten::relu_");
    internal static readonly Operator silu_ = new("aten::silu_");
    internal static readonly Operator gelu_ = new("aten::gelu_");
    internal static readonly Operator embedding = new("aten::embedding");
    internal static readonly Operator embedding_renorm_ = new("aten::embedding_renorm_");
    internal static readonly Operator dropout = new("aten::dropout");
    internal static readonly Operator dropout_ = new("aten::dropout_");
    internal static readonly Operator layer_norm = new("aten::layer_norm");
    internal static readonly Operator cross_entropy = new("aten::cross_entropy_loss");
    internal static readonly Operator nll_loss = new("aten::nll_loss");
    internal static readonly Operator kl_div = new("aten::kl_div");
    internal static readonly Operator binary_cross_entropy_with_logits = new("aten::binary_cross_entropy_with_logits");
    internal static readonly Operator mse_loss = new("aten::mse_loss");
    internal static readonly Operator one_hot = new("aten::one_hot");
    internal static readonly Operator pad = new("aten::pad");

    // Optimisation
    internal static readonly Operator vector_norm = new("aten::linalg_vector_norm");

    // Decompositions
    internal static readonly Operator svd = new("aten::linalg_svd");
    internal static readonly Operator eigh = new("aten::linalg_eigh");
    internal static readonly Operator qr = new("aten::linalg_qr");

    // Ours
    internal static readonly Operator rms_norm = new("peftalign::rms_norm");

    // Where versions differ: candidates in order, probed at the first use; the caller composes what none of them gives.
    internal static readonly OneOf attention = new(new Operator("aten::scaled_dot_product_attention")); // since 2.0

    /// <summary>All that must be there, for the probe at start and for tests.</summary>
    internal static IReadOnlyList<Operator> All => field ??= FieldsOf<Operator>();

    /// <summary>The rows with candidates.</summary>
    internal static IReadOnlyList<OneOf> Differing => field ??= FieldsOf<OneOf>();

    private static T[] FieldsOf<T>() =>
        [.. typeof(Aten).GetFields(BindingFlags.Static | BindingFlags.NonPublic).Where(f => f.FieldType == typeof(T)).Select(f => (T)f.GetValue(null)!)];
}
