// Which entries of a task vector d = x - base are kept: a mask of one bit per entry, and the sums of |d| over all and over kept
// entries. merge_window keeps a range of ranks of |d|, without sorting: two histograms over the bits of |d| find the bounds, entries
// of equal magnitude rank by position. merge_bernoulli draws, entry k from word k of a Philox stream. merge_pack takes a mask, merge_unpack gives one.
#include <torch/library.h>

#include "merge_blocks.h"

namespace pa {
namespace merge {
namespace {

constexpr int kHighBits = 16, kLowBits = 15;  // of the 31 bits of a magnitude
constexpr int64_t kHigh = 1 << kHighBits, kLow = 1 << kLowBits;

PA_CLONES void magnitudes(const float* x, const float* base, uint32_t* out, int64_t n) {
    for (int64_t k = 0; k < n; k++) {
        float d = x[k] - base[k];
        uint32_t bits;
        std::memcpy(&bits, &d, 4);
        out[k] = bits & 0x7FFFFFFFu;
    }
}

// The masked sum of magnitudes; a null mask stands for all.
PA_CLONES double sum_of(const uint32_t* magnitude, const uint8_t* kept, int64_t n) {
    float lanes[16] = {};
    int64_t k = 0;
    for (; k + 16 <= n; k += 16)
        for (int64_t j = 0; j < 16; j++) {
            uint32_t bits = magnitude[k + j] & (kept == nullptr ? 0xFFFFFFFFu : 0u - static_cast<uint32_t>(kept[k + j]));
            float value;
            std::memcpy(&value, &bits, 4);
            lanes[j] += value;
        }
    double sum = 0;
    for (float lane : lanes) sum += lane;
    for (; k < n; k++) {
        float value;
        std::memcpy(&value, magnitude + k, 4);
        if (kept == nullptr || kept[k]) sum += value;
    }
    return sum;
}

PA_CLONES void pack_words(const uint8_t* kept, uint64_t* words, int64_t n) {
    for (int64_t w = 0; w * 64 < n; w++) {
        uint64_t word = 0;
        for (int64_t k = 0, count = std::min<int64_t>(64, n - w * 64); k < count; k++) word |= static_cast<uint64_t>(kept[w * 64 + k] & 1) << k;
        words[w] = word;
    }
}

PA_CLONES void between(const uint32_t* magnitude, uint32_t low, uint32_t high, uint8_t* kept, int64_t n) {
    for (int64_t k = 0; k < n; k++) kept[k] = magnitude[k] > low && magnitude[k] < high;
}

// 64 blocks of four words each; entry k of the stream is word k.
PA_CLONES void draw(uint64_t key, uint64_t stream, uint64_t block, uint64_t bound, uint8_t* kept) {
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
            partial[2 * task] += sum_of(magnitude, nullptr, count);
            partial[2 * task + 1] += sum_of(magnitude, kept, count);
        }
    });
    for (size_t k = 0; k < partial.size(); k++) sums.data_ptr<double>()[k % 2] += partial[k];
    return {bits, sums};
}

// One end of the window: entries of `key` from the equal-th on (counted by position) lie at or above rank `rank`.
struct Bound {
    uint32_t key;
    int64_t equals;
};

// Counts magnitudes by their upper bits, or by their lower bits within one upper value.
std::vector<int64_t> histogram(const Delta& delta, int64_t n, int64_t buckets, int64_t within) {
    std::vector<std::vector<uint32_t>> counts(at::get_num_threads() + 1);
    at::parallel_for(0, tasks_of(n), 1, [&](int64_t first, int64_t last) {
        auto& own = counts[at::get_thread_num()];
        own.resize(buckets);
        uint32_t magnitude[kBlock];
        for (int64_t at = first * kTask, end = std::min(n, last * kTask); at < end; at += kBlock) {
            int64_t count = std::min(kBlock, end - at);
            delta.read(at, count, magnitude);
            if (within < 0)
                for (int64_t k = 0; k < count; k++) own[magnitude[k] >> kLowBits]++;
            else
                for (int64_t k = 0; k < count; k++)
                    if ((magnitude[k] >> kLowBits) == static_cast<uint32_t>(within)) own[magnitude[k] & (kLow - 1)]++;
        }
    });
    std::vector<int64_t> total(buckets);
    for (auto& own : counts)
        for (size_t k = 0; k < own.size(); k++) total[k] += own[k];
    return total;
}

// The bucket in which the rank lies; the rank becomes the one inside it.
int64_t bucket_of(const std::vector<int64_t>& counts, int64_t& rank) {
    int64_t bucket = 0;
    while (rank >= counts[bucket]) rank -= counts[bucket++];
    return bucket;
}

Bound bound_at(const Delta& delta, int64_t n, const std::vector<int64_t>& upper, int64_t rank) {
    int64_t high = bucket_of(upper, rank), low = bucket_of(histogram(delta, n, kLow, high), rank);
    return {static_cast<uint32_t>(high << kLowBits | low), rank};
}

// How many entries of this magnitude lie before each task.
std::vector<int64_t> equals_before(const Delta& delta, int64_t n, uint32_t key) {
    std::vector<int64_t> before(tasks_of(n) + 1);
    for_tasks(n, [&](int64_t task, int64_t begin, int64_t end) {
        uint32_t magnitude[kBlock];
        int64_t sum = 0;
        for (int64_t at = begin; at < end; at += kBlock) {
            int64_t count = std::min(kBlock, end - at);
            delta.read(at, count, magnitude);
            for (int64_t k = 0; k < count; k++) sum += magnitude[k] == key;
        }
        before[task + 1] = sum;
    });
    for (size_t task = 1; task < before.size(); task++) before[task] += before[task - 1];
    return before;
}

// Ranks [from, from + count) of ascending |d|. Equal magnitudes rank by position, or (first_is_largest) against it, which is the
// order of a stable descending sort read from its end.
std::tuple<Tensor, Tensor> window(const Tensor& x, const Tensor& base, int64_t from, int64_t count, bool first_is_largest) {
    Delta delta(x, base);
    int64_t n = delta.numel();
    TORCH_CHECK(from >= 0 && count >= 0 && from + count <= n, "merge_window: ranks ", from, " to ", from + count, " of ", n);
    if (count == 0 || n == 0)
        return mark(delta, n, [](int64_t, int64_t, int64_t m, const uint32_t*, uint8_t* kept) { std::fill_n(kept, m, 0); });
    auto upper = histogram(delta, n, kHigh, -1);
    bool open = from + count == n;
    Bound low = bound_at(delta, n, upper, from), high = open ? Bound{0xFFFFFFFFu, 0} : bound_at(delta, n, upper, from + count);
    auto low_before = equals_before(delta, n, low.key), high_before = open || high.key == low.key ? low_before : equals_before(delta, n, high.key);
    std::vector<int64_t> low_seen(low_before), high_seen(high_before);
    auto place_of = [first_is_largest](int64_t seen, const std::vector<int64_t>& before) { return first_is_largest ? before.back() - 1 - seen : seen; };
    return mark(delta, n, [&](int64_t task, int64_t, int64_t m, const uint32_t* magnitude, uint8_t* kept) {
        between(magnitude, low.key, high.key, kept, m);
        for (int64_t k = 0; k < m; k++) {
            if (magnitude[k] == low.key) {
                int64_t place = place_of(low_seen[task]++, low_before);
                kept[k] = place >= low.equals && (high.key != low.key || place < high.equals);
            } else if (magnitude[k] == high.key) {
                kept[k] = place_of(high_seen[task]++, high_before) < high.equals;
            }
        }
    });
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
    TORCH_CHECK(bits.scalar_type() == at::kLong && bits.is_contiguous() && first % 64 == 0 && first + count <= bits.numel() * 64, "merge_unpack: no entries ", first, " to ", first + count, " in this mask");
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
