// Which entries of a task vector d = x - base are kept: a mask of one bit per entry, and the sums of |d| over all and over kept
// entries. merge_window keeps a range of ranks of |d|, without sorting: a histogram over the upper bits of |d| finds the bounds,
// and only the entries at a bound are ordered; equal magnitudes rank by position. merge_bernoulli draws, entry k from word k of a
// Philox stream. merge_pack makes a mask of truth values, merge_unpack truth values of a mask.
#include <torch/library.h>

#include <algorithm>

#include "merge_blocks.h"

namespace pa {
namespace merge {
namespace {

constexpr int kHighBits = 16, kLowBits = 15;  // of the 31 bits of a magnitude
constexpr int64_t kHigh = 1 << kHighBits, kLow = 1 << kLowBits;

void magnitudes(const float* x, const float* base, uint32_t* out, int64_t n) {
    with_instructions([=](auto) PA_INLINED {
        for (int64_t k = 0; k < n; k++) {
            float d = x[k] - base[k];
            uint32_t bits;
            std::memcpy(&bits, &d, 4);
            out[k] = bits & 0x7FFFFFFFu;
        }
    });
}

// Adds the sums of all and of the kept magnitudes, in 16 lanes each.
void add_sums(const uint32_t* magnitude, const uint8_t* kept, int64_t n, double* sums) {
    with_instructions([=](auto set) PA_INLINED {
        typedef typename decltype(set)::V V;
        typedef typename lanes::Integers<sizeof(V)>::Wide Words;
        typedef uint8_t Bytes __attribute__((vector_size(sizeof(V) / sizeof(float))));
        constexpr int64_t kWidth = lanes::width<V>(), kParts = lanes::N / kWidth;
        V all[kParts] = {}, some[kParts] = {};
        int64_t k = 0;
        for (; k + lanes::N <= n; k += lanes::N)
#pragma GCC unroll 4
            for (int64_t p = 0; p < kParts; p++) {
                Words bits;
                Bytes flags;
                std::memcpy(&bits, magnitude + k + p * kWidth, sizeof bits), std::memcpy(&flags, kept + k + p * kWidth, sizeof flags);
                Words chosen = bits & (0u - __builtin_convertvector(flags, Words));
                V a, b;
                std::memcpy(&a, &bits, sizeof a), std::memcpy(&b, &chosen, sizeof b);
                all[p] += a, some[p] += b;
            }
        for (int64_t j = 0; j < lanes::N; j++) sums[0] += all[j / kWidth][j % kWidth], sums[1] += some[j / kWidth][j % kWidth];
        for (; k < n; k++) {
            float value;
            std::memcpy(&value, magnitude + k, 4);
            sums[0] += value;
            if (kept[k]) sums[1] += value;
        }
    });
}

// Eight flags at a time: the product moves flag j to bit 56 + j.
void pack_words(uint8_t* kept, uint64_t* words, int64_t n) {
    std::fill(kept + n, kept + (n + 63) / 64 * 64, 0);
    for (int64_t w = 0; w * 64 < n; w++) {
        uint64_t word = 0;
        for (int64_t j = 0; j < 8; j++) {
            uint64_t flags;
            std::memcpy(&flags, kept + w * 64 + j * 8, 8);
            word |= (flags * 0x0102040810204080ull >> 56) << (8 * j);
        }
        words[w] = word;
    }
}

// Flags of magnitudes whose upper bits lie strictly between two values, and of those that lie at one of them, zeros aside, which are
// counted. Without branches: some entry of almost every block lies at an end.
int64_t between(const uint32_t* magnitude, int32_t low, int32_t high, uint8_t* kept, uint8_t* edge, int64_t n) {
    return with_instructions([=](auto) PA_INLINED {
        uint32_t zeros = 0;
        for (int64_t k = 0; k < n; k++) {
            auto upper = static_cast<int32_t>(magnitude[k] >> kLowBits);
            uint32_t at = (upper == low) | (upper == high), some = magnitude[k] != 0;
            kept[k] = (upper > low) & (upper < high);
            edge[k] = at & some;
            zeros += at & (some ^ 1);
        }
        return zeros;
    });
}

// 64 blocks of four words each; entry k of the stream is word k.
void draw(uint64_t key, uint64_t stream, uint64_t block, uint64_t bound, uint8_t* kept) {
    with_instructions([=](auto) PA_INLINED {
        uint32_t a[64], b[64], c[64], d[64];
        for (int k = 0; k < 64; k++) {
            uint64_t counter = block + k;
            a[k] = static_cast<uint32_t>(counter), b[k] = static_cast<uint32_t>(counter >> 32);
            c[k] = static_cast<uint32_t>(stream), d[k] = static_cast<uint32_t>(stream >> 32);
        }
        uint32_t low = static_cast<uint32_t>(key), high = static_cast<uint32_t>(key >> 32);
        for (int round = 0; round < 10; round++) {
            for (int k = 0; k < 64; k++) {
                uint64_t first = 0xD2511F53ull * a[k], second = 0xCD9E8D57ull * c[k];
                uint32_t na = static_cast<uint32_t>(second >> 32) ^ b[k] ^ low, nc = static_cast<uint32_t>(first >> 32) ^ d[k] ^ high;
                b[k] = static_cast<uint32_t>(second), d[k] = static_cast<uint32_t>(first), a[k] = na, c[k] = nc;
            }
            low += 0x9E3779B9u, high += 0xBB67AE85u;
        }
        for (int k = 0; k < 64; k++) {
            kept[4 * k] = a[k] < bound, kept[4 * k + 1] = b[k] < bound;
            kept[4 * k + 2] = c[k] < bound, kept[4 * k + 3] = d[k] < bound;
        }
    });
}

// x - base, or x itself where the base is empty.
class Delta {
public:
    Delta(const Tensor& x, const Tensor& base) : tensors_(checked(base.numel() == 0 ? std::vector<Tensor>{x} : std::vector<Tensor>{x, base}, "a merge mask")) {}

    int64_t numel() const { return tensors_[0].numel(); }

    void read(int64_t at, int64_t n, uint32_t* out) const {
        float first[kBlock], second[kBlock];
        const float* origin = second;
        if (tensors_.size() == 2) origin = Source(tensors_[1]).read(at, n, second);
        else std::fill_n(second, n, 0.0f);
        magnitudes(Source(tensors_[0]).read(at, n, first), origin, out, n);
    }

private:
    std::vector<Tensor> tensors_;
};

// Fills a mask: body(task, at, count, magnitudes, kept) for every block in order within its task.
template <typename F>
std::tuple<Tensor, Tensor> mark(const Delta& delta, int64_t n, F&& body) {
    Tensor bits = at::empty({(n + 63) / 64}, at::kLong), sums = at::zeros({2}, at::kDouble);
    auto words = reinterpret_cast<uint64_t*>(bits.data_ptr<int64_t>());
    std::vector<double> partial(2 * tasks_of(n));
    for_tasks(n, [&](int64_t task, int64_t begin, int64_t end) {
        uint32_t magnitude[kBlock];
        uint8_t kept[kBlock];
        for (int64_t at = begin; at < end; at += kBlock) {
            int64_t count = std::min(kBlock, end - at);
            delta.read(at, count, magnitude);
            body(task, at, count, magnitude, kept);
            pack_words(kept, words + at / 64, count);
            add_sums(magnitude, kept, count, partial.data() + 2 * task);
        }
    });
    for (size_t k = 0; k < partial.size(); k++) sums.data_ptr<double>()[k % 2] += partial[k];
    return {bits, sums};
}

// Counts of magnitudes by their upper bits.
std::vector<int64_t> histogram(const Delta& delta, int64_t n) {
    std::vector<std::vector<uint32_t>> counts(at::get_num_threads());
    for_workers(n, [&](int64_t worker, int64_t, int64_t begin, int64_t end) {
        auto& own = counts[worker];
        own.resize(kHigh);
        uint32_t magnitude[kBlock];
        for (int64_t at = begin; at < end; at += kBlock) {
            int64_t count = std::min(kBlock, end - at);
            delta.read(at, count, magnitude);
            for (int64_t k = 0; k < count; k++) own[magnitude[k] >> kLowBits]++;
        }
    });
    std::vector<int64_t> total(kHigh);
    for (auto& own : counts)
        for (size_t k = 0; k < own.size(); k++) total[k] += own[k];
    return total;
}

// One entry at an end of the window.
struct Edge {
    uint32_t magnitude;
    int64_t position;
};

// The bucket in which a rank lies, and the rank of its first entry.
std::pair<int32_t, int64_t> bucket_of(const std::vector<int64_t>& counts, int64_t rank) {
    int64_t first = 0;
    int32_t bucket = 0;
    while (first + counts[bucket] <= rank) first += counts[bucket++];
    return {bucket, first};
}

// Of the entries of one bucket, whose ranks begin at `first`, those with ranks in [from, to).
void settle(std::vector<Edge>& edges, int64_t first, int64_t from, int64_t to, bool first_is_largest, uint64_t* words, double& kept_sum) {
    auto below = [=](const Edge& a, const Edge& b) {
        if (a.magnitude != b.magnitude) return a.magnitude < b.magnitude;
        return first_is_largest ? a.position > b.position : a.position < b.position;
    };
    auto size = static_cast<int64_t>(edges.size());
    int64_t begin = std::min(std::max<int64_t>(from - first, 0), size), end = std::min(std::max<int64_t>(to - first, 0), size);
    if (begin > 0 && begin < size) std::nth_element(edges.begin(), edges.begin() + begin, edges.end(), below);
    if (end > begin && end < size) std::nth_element(edges.begin() + begin, edges.begin() + end, edges.end(), below);
    for (int64_t k = begin; k < end; k++) {
        float value;
        std::memcpy(&value, &edges[k].magnitude, 4);
        kept_sum += value;
        words[edges[k].position / 64] |= 1ull << (edges[k].position % 64);
    }
}

// Ranks [from, from + count) of ascending |d|. Equal magnitudes rank by position, or (first_is_largest) against it, which is the
// order of a stable descending sort read from its end. Entries in the buckets of the two ends are ordered, all others compared.
std::tuple<Tensor, Tensor> window(const Tensor& x, const Tensor& base, int64_t from, int64_t count, bool first_is_largest) {
    Delta delta(x, base);
    int64_t n = delta.numel();
    TORCH_CHECK(from >= 0 && count >= 0 && count <= n && from <= n - count, "merge_window: ", count, " ranks from ", from, " on, of ", n);
    int64_t to = from + count;
    if (count == 0) return mark(delta, n, [](int64_t, int64_t, int64_t m, const uint32_t*, uint8_t* kept) { std::fill_n(kept, m, 0); });
    auto counts = histogram(delta, n);
    auto low = bucket_of(counts, from), high = to == n ? std::pair<int32_t, int64_t>{static_cast<int32_t>(kHigh), n} : bucket_of(counts, to);
    std::vector<std::vector<Edge>> lows(tasks_of(n)), highs(tasks_of(n));
    std::vector<int64_t> zeros(tasks_of(n));  // whether a zero is kept changes nothing; often most entries are
    auto result = mark(delta, n, [&](int64_t task, int64_t at, int64_t m, const uint32_t* magnitude, uint8_t* kept) {
        uint8_t edge[kBlock];
        uint64_t found[kBlock / 64];
        zeros[task] += between(magnitude, low.first, high.first, kept, edge, m);
        pack_words(edge, found, m);
        for (int64_t w = 0; w * 64 < m; w++)
            for (uint64_t word = found[w]; word != 0; word &= word - 1) {
                int64_t k = w * 64 + __builtin_ctzll(word);
                auto& side = static_cast<int32_t>(magnitude[k] >> kLowBits) == low.first ? lows : highs;
                side[task].push_back({magnitude[k], at + k});
            }
    });
    auto words = reinterpret_cast<uint64_t*>(std::get<0>(result).data_ptr<int64_t>());
    double& kept_sum = std::get<1>(result).data_ptr<double>()[1];
    int64_t skipped = 0;
    for (int64_t own : zeros) skipped += own;
    for (auto* side : {&lows, &highs}) {
        std::vector<Edge> edges;
        for (auto& own : *side) edges.insert(edges.end(), own.begin(), own.end());
        auto bucket = side == &lows ? low : high;
        settle(edges, bucket.second + (bucket.first == 0 ? skipped : 0), from, to, first_is_largest, words, kept_sum);
    }
    return result;
}

std::tuple<Tensor, Tensor> bernoulli(const Tensor& x, const Tensor& base, double p, int64_t key, int64_t stream) {
    TORCH_CHECK(p >= 0 && p <= 1, "merge_bernoulli: the probability ", p, " must lie between 0 and 1");
    auto bound = static_cast<uint64_t>(std::nearbyint(p * 4294967296.0));
    return mark(Delta(x, base), x.numel(), [&](int64_t, int64_t at, int64_t m, const uint32_t*, uint8_t* kept) {
        for (int64_t k = 0; k < m; k += 256) draw(static_cast<uint64_t>(key), static_cast<uint64_t>(stream), static_cast<uint64_t>(at + k) / 4, bound, kept + k);
    });
}

std::tuple<Tensor, Tensor> pack(const Tensor& mask, const Tensor& x, const Tensor& base) {
    TORCH_CHECK(mask.sizes() == x.sizes(), "merge_pack: the mask is ", mask.sizes(), " and the tensor ", x.sizes());
    Tensor flags = mask.ne(0).contiguous();
    const bool* keep = flags.data_ptr<bool>();
    return mark(Delta(x, base), x.numel(), [&](int64_t, int64_t at, int64_t m, const uint32_t*, uint8_t* kept) {
        for (int64_t k = 0; k < m; k++) kept[k] = keep[at + k];
    });
}

// The entries [first, first + count) of a mask as truth values; first is a multiple of 64.
Tensor unpack(const Tensor& bits, int64_t first, int64_t count) {
    TORCH_CHECK(bits.scalar_type() == at::kLong && bits.is_contiguous() && first >= 0 && count >= 0 && first % 64 == 0 && first <= bits.numel() * 64 && count <= bits.numel() * 64 - first, "merge_unpack: no ", count, " entries from ", first, " on in this mask");
    Tensor out = at::empty({count}, at::kBool);
    auto words = reinterpret_cast<const uint64_t*>(bits.data_ptr<int64_t>()) + first / 64;
    bool* kept = out.data_ptr<bool>();
    for (int64_t k = 0; k < count; k++) kept[k] = words[k / 64] >> (k % 64) & 1;
    return out;
}

}  // namespace
}  // namespace merge
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) {
    m.def("merge_window(Tensor x, Tensor base, int first, int count, bool first_is_largest) -> (Tensor, Tensor)");
    m.def("merge_bernoulli(Tensor x, Tensor base, float p, int key, int stream) -> (Tensor, Tensor)");
    m.def("merge_unpack(Tensor bits, int first, int count) -> Tensor");
    m.def("merge_pack(Tensor mask, Tensor x, Tensor base) -> (Tensor, Tensor)");
}
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) {
    m.impl("merge_window", pa::merge::window);
    m.impl("merge_bernoulli", pa::merge::bernoulli);
    m.impl("merge_unpack", pa::merge::unpack);
    m.impl("merge_pack", pa::merge::pack);
}
