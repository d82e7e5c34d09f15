// How a peer's process allocates: as glibc does where nobody says otherwise, or with the settings that make it fastest, which keep
// freed memory and ask for huge pages. What our own launcher sets must not reach a peer's default line.

namespace PeftAlign.Host.Bench;

internal static class Allocators
{
    internal static IReadOnlyDictionary<string, string> Default { get; } = new Dictionary<string, string>();

    internal static IReadOnlyDictionary<string, string> Tuned { get; } = new Dictionary<string, string>
    {
        ["MALLOC_MMAP_MAX_"] = "0",
        ["MALLOC_TRIM_THRESHOLD_"] = "100000000000",
        ["MALLOC_TOP_PAD_"] = "268435456",
        ["MALLOC_ARENA_MAX"] = "1",
        ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1",
    };
}
