# How the C library's allocator works under every program of ours: glibc gives freed memory back at once and gets it again page by page,
# for every large tensor of every step. What the user has set holds. Plain sh, for the launcher of a published folder too.

export MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_-1073741824}" MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_-4294967296}" MALLOC_TOP_PAD_="${MALLOC_TOP_PAD_-67108864}"
