/* One step of a LLaMA decoder for up to 16 rows (slots), in float16 with float32 sums. Comes after
   decode_primitives.cu.

   A row's bits depend on that row alone: a matmul adds in the same order for any number of rows, attention is split by
   the row's own length, and partial sums of several blocks are added in order by whichever block comes last. What the
   next kernel may overlap: before it waits, a kernel reads only what this step's kernels do not write, or wrote before
   its predecessor began. */

#ifndef WARPS
#define WARPS 8 /* of a block of a matmul */
#endif
#ifndef STAGES
#define STAGES 2 /* of weights on their way, 4 KB each, in a warp */
#endif
#ifndef BLOCKS
#define BLOCKS 2 /* at least, on a multiprocessor: limits registers */
#endif
#ifndef BLOCKS_16
#define BLOCKS_16 2 /* the same for up to 16 rows, which need more registers */
#endif
#ifndef SHORTEST
#define SHORTEST 64 /* positions in a chunk, at least */
#endif
#ifndef ATTEND_BLOCKS
#define ATTEND_BLOCKS 3 /* of attention, at least, on a multiprocessor */
#endif

#define THREADS (32 * WARPS)
#define TILE 64 /* outputs of a warp: 128 bytes of a row of weights */
#define PITCH 68
#define WARP_SUM(value)                                                                                               \
    for (int lanes = 16; lanes > 0; lanes /= 2)                                                                       \
        value += __shfl_xor_sync(0xffffffffu, value, lanes);

enum Input { PLAIN, NORMED };
enum Output { HALVES, RESIDUAL, GATED, LOGITS };

struct Weights {
    Words row[8];
};


__device__ __forceinline__ float low(unsigned int word)
{
    return to_float((Half)(word & 0xffff));
}

__device__ __forceinline__ float high(unsigned int word)
{
    return to_float((Half)(word >> 16));
}

__device__ __forceinline__ unsigned int scaled(unsigned int word, float factor, unsigned int scales)
{
    const unsigned int first = to_half(low(word) * factor * low(scales));
    return first | (unsigned int)to_half(high(word) * factor * high(scales)) << 16;
}

__device__ __forceinline__ Words scaled(Words words, float factor, Words scales)
{
    words.x = scaled(words.x, factor, scales.x);
    words.y = scaled(words.y, factor, scales.y);
    words.z = scaled(words.z, factor, scales.z);
    words.w = scaled(words.w, factor, scales.w);
    return words;
}

/* Eight outputs of the inputs k..k+7; beyond the last input, of others, whose activations are zeros. */
__device__ __forceinline__ void load_weights(Weights &weights, const Half *from, int k, int depth, int width)
{
    from += (long long)min(k, depth - 8) * width;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        weights.row[i] = load_constant(from);
        from += width;
    }
}

/* Weights of 16 inputs and 64 outputs times groups of 8 rows. A thread's four rows of weights are inputs k..k+3, its
   words two outputs each; output 8 g + j is row g of product j, and output 8 g + 4 + j is row g + 8. */
template <int GROUPS>
__device__ __forceinline__ void multiply_16(float (&sums)[GROUPS][4][4], const Words *w, const Pair (&b)[GROUPS])
{
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const unsigned int halves = j % 2 == 0 ? 0x5410 : 0x7632;
        const unsigned int a0 = j < 2 ? __byte_perm(w[0].x, w[1].x, halves) : __byte_perm(w[0].y, w[1].y, halves);
        const unsigned int a1 = j < 2 ? __byte_perm(w[0].z, w[1].z, halves) : __byte_perm(w[0].w, w[1].w, halves);
        const unsigned int a2 = j < 2 ? __byte_perm(w[2].x, w[3].x, halves) : __byte_perm(w[2].y, w[3].y, halves);
        const unsigned int a3 = j < 2 ? __byte_perm(w[2].z, w[3].z, halves) : __byte_perm(w[2].w, w[3].w, halves);
#pragma unroll
        for (int group = 0; group < GROUPS; group++)
            multiply_add(sums[group][j], a0, a1, a2, a3, b[group].first, b[group].second);
    }
}

/* Inputs k..k+7 of a row; zeros beyond the last row or input. */
__device__ __forceinline__ Words load_row(const Half *input, int row, int k, int rows, int depth)
{
    const Words zero = {0, 0, 0, 0};
    return row < rows && k < depth ? load_fresh(input + row * depth + k) : zero;
}

/* Whether this block is the last of `count` that come to `counter`. If so, it sees what the others wrote. */
__device__ __forceinline__ bool comes_last(int *counter, int count)
{
    __shared__ int last;
    __syncthreads();
    if (threadIdx.x == 0) {
        /* what the barrier ordered before this thread, its fence orders for all */
        __threadfence();
        last = atomicAdd(counter, 1) == count - 1;
        if (last)
            *counter = 0;
        __threadfence();
    }
    __syncthreads();
    return last;
}

/* The factor of RMSNorm for each row, from sums of squares of 32 elements each, `[rows, depth / 32]`. */
__device__ __forceinline__ void norm_factors(float *factors, const float *squares, int count, int rows, int depth,
                                             float epsilon)
{
    for (int row = threadIdx.x / 32; row < count; row += WARPS) {
        float sum = 0;
        if (row < rows)
            for (int part = threadIdx.x % 32; part < depth / 32; part += 32)
                sum += load_fresh(squares + row * (depth / 32) + part);
        WARP_SUM(sum)
        if (threadIdx.x % 32 == 0)
            factors[row] = rsqrtf(sum / depth + epsilon);
    }
    __syncthreads();
}

__device__ __forceinline__ Quad plus(Quad a, Quad b)
{
    return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
}

__device__ __forceinline__ Pair packed(Quad quad)
{
    return {to_half(quad.x) | (unsigned int)to_half(quad.y) << 16,
            to_half(quad.z) | (unsigned int)to_half(quad.w) << 16};
}

__device__ __forceinline__ float gated(float gate, float up)
{
    return gate / (1 + expf(-gate)) * up;
}

/* Of a block's warps, in order. */
template <int DEEP, int ROWS>
__device__ __forceinline__ Quad warps_sum(const float (&sums)[WARPS][ROWS][PITCH], int half, int quad)
{
    const int row = quad / (TILE / 4), column = quad % (TILE / 4) * 4;
    Quad sum = *(const Quad *)&sums[half * DEEP][row][column];
#pragma unroll
    for (int part = 1; part < DEEP; part++)
        sum = plus(sum, *(const Quad *)&sums[half * DEEP + part][row][column]);
    return sum;
}

/* Of a tile's blocks, in order; eight loads are on their way at once. */
__device__ __forceinline__ Quad blocks_sum(const Quad *from, int count, int stride)
{
    Quad sum = {0, 0, 0, 0};
    for (int base = 0; base < count; base += 8) {
        Quad parts[8];
#pragma unroll
        for (int i = 0; i < 8; i++)
            parts[i] = base + i < count ? load_fresh(from + (base + i) * stride) : Quad{0, 0, 0, 0};
#pragma unroll
        for (int i = 0; i < 8; i++)
            sum = plus(sum, parts[i]);
    }
    return sum;
}

/* input [rows, depth] times weights [depth, width]. Grid: x over tiles of 64 outputs, y over stretches of the depth,
   which a block's warps divide further. GATED: the first half of the width is the gate's, the second half up's, and a
   block has a tile of each. `scratch` has 64 x 16 floats for each block and half, `counters` a zero for each tile. */
template <int ROWS, Input INPUT, Output OUTPUT>
__device__ __forceinline__ void multiply(const Half *weights, const Half *input, const Half *scales,
                                         const float *squares, float epsilon, void *output, float *new_squares,
                                         float *scratch, int *counters, int rows, int depth, int width)
{
    constexpr int HALVED = OUTPUT == GATED ? 2 : 1, DEEP = WARPS / HALVED, GROUPS = ROWS / 8;
    constexpr int QUADS = ROWS * TILE / 4;
    __shared__ __align__(16) float sums[WARPS][ROWS][PITCH];
    __shared__ float factors[ROWS];
    const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const int columns = width / HALVED, tile = blockIdx.x * TILE;
    Quad *parts = (Quad *)scratch;
    const int steps = (depth + 31) / 32, stretches = gridDim.y * DEEP, stretch = blockIdx.y * DEEP + warp % DEEP;
    const int first = stretch * steps / stretches, stop = (stretch + 1) * steps / stretches;
    /* beyond the last column others are multiplied again, and not stored */
    const int column = warp / DEEP * columns + min(tile + 8 * g, columns - 8);
    weights += column;
    Weights stages[STAGES];
#pragma unroll
    for (int stage = 0; stage < STAGES; stage++)
        if (first + stage < stop) {
            load_weights(stages[stage], weights, 32 * (first + stage) + 8 * t, depth, width);
        }
    wait_for_predecessor();
    let_successor_start();
    const Words zero = {0, 0, 0, 0};
    float products[GROUPS][4][4] = {};
    Words fresh[GROUPS], scale = zero;
#pragma unroll
    for (int group = 0; group < GROUPS; group++)
        fresh[group] = load_row(input, 8 * group + g, 32 * first + 8 * t, rows, first < stop ? depth : 0);
    if (INPUT == NORMED && first < stop)
        scale = load_constant(scales + 32 * first + 8 * t);
    if (INPUT == NORMED)
        norm_factors(factors, squares, ROWS, rows, depth, epsilon);
    for (int base = first; base < stop; base += STAGES) {
#pragma unroll
        for (int stage = 0; stage < STAGES; stage++) {
            const int step = base + stage;
            if (step < stop) {
                Pair early[GROUPS], late[GROUPS];
#pragma unroll
                for (int group = 0; group < GROUPS; group++) {
                    Words present = fresh[group];
                    if (INPUT == NORMED)
                        present = scaled(present, factors[8 * group + g], scale);
                    early[group] = {present.x, present.y};
                    late[group] = {present.z, present.w};
                    if (step + 1 < stop)
                        fresh[group] = load_row(input, 8 * group + g, 32 * (step + 1) + 8 * t, rows, depth);
                }
                if (INPUT == NORMED && step + 1 < stop)
                    scale = load_constant(scales + 32 * (step + 1) + 8 * t);
                multiply_16(products, stages[stage].row, early);
                multiply_16(products, stages[stage].row + 4, late);
                if (step + STAGES < stop) {
                    load_weights(stages[stage], weights, 32 * (step + STAGES) + 8 * t, depth, width);
                }
            }
        }
    }
#pragma unroll
    for (int group = 0; group < GROUPS; group++)
#pragma unroll
        for (int odd = 0; odd < 2; odd++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                float *to = sums[warp][8 * group + 2 * t + odd] + 8 * g + j;
                to[0] = products[group][j][odd];
                to[4] = products[group][j][2 + odd];
            }
    __syncthreads();
    /* from here on a thread has the same four outputs of a row throughout */
    if (gridDim.y > 1) {
        Quad *place = parts + (blockIdx.x * gridDim.y + blockIdx.y) * HALVED * QUADS;
        for (int quad = threadIdx.x; quad < rows * (TILE / 4); quad += THREADS)
            for (int half = 0; half < HALVED; half++)
                place[half * QUADS + quad] = warps_sum<DEEP>(sums, half, quad);
        if (!comes_last(counters + blockIdx.x, gridDim.y))
            return;
    }
    for (int quad = threadIdx.x; quad < QUADS; quad += THREADS) {
        const int row = quad / (TILE / 4), place = tile + quad % (TILE / 4) * 4;
        const bool stored = row < rows && place < columns;
        const long long at = (long long)row * columns + place;
        Half *halves = (Half *)output + at;
        Pair before = {0, 0};
        if (OUTPUT == RESIDUAL && stored)
            before = load_fresh((Pair *)halves);
        Quad total[HALVED];
#pragma unroll
        for (int half = 0; half < HALVED; half++) {
            const Quad *from = parts + blockIdx.x * gridDim.y * HALVED * QUADS + half * QUADS + quad;
            if (gridDim.y == 1)
                total[half] = warps_sum<DEEP>(sums, half, quad);
            else if (stored)
                total[half] = blocks_sum(from, gridDim.y, HALVED * QUADS);
        }
        const Quad value = total[0], other = total[HALVED - 1];
        if (OUTPUT == LOGITS && stored)
            *(Quad *)((float *)output + at) = value;
        if (OUTPUT == HALVES && stored)
            *(Pair *)halves = packed(value);
        if (OUTPUT == GATED && stored)
            *(Pair *)halves = packed({gated(value.x, other.x), gated(value.y, other.y), gated(value.z, other.z),
                                      gated(value.w, other.w)});
        if (OUTPUT == RESIDUAL) {
            float square = 0;
            if (stored) {
                const Pair sum = packed({low(before.first) + value.x, high(before.first) + value.y,
                                         low(before.second) + value.z, high(before.second) + value.w});
                *(Pair *)halves = sum;
                square = low(sum.first) * low(sum.first) + high(sum.first) * high(sum.first) +
                         low(sum.second) * low(sum.second) + high(sum.second) * high(sum.second);
            }
            for (int lanes = 4; lanes > 0; lanes /= 2)
                square += __shfl_xor_sync(0xffffffffu, square, lanes);
            if (stored && threadIdx.x % 8 == 0)
                new_squares[row * (columns / 32) + place / 32] = square;
        }
    }
}

#define MATMUL(NAME, ROWS, INPUT, OUTPUT)                                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS, ROWS == 8 ? BLOCKS : BLOCKS_16)                                                     \
        NAME(const Half *weights, const Half *input, const Half *scales, const float *squares, float epsilon,         \
             void *output, float *new_squares, float *scratch, int *counters, int rows, int depth, int width)         \
    {                                                                                                                 \
        multiply<ROWS, INPUT, OUTPUT>(weights, input, scales, squares, epsilon, output, new_squares, scratch,         \
                                      counters, rows, depth, width);                                                  \
    }

MATMUL(packed_8, 8, NORMED, HALVES)
MATMUL(packed_16, 16, NORMED, HALVES)
MATMUL(added_8, 8, PLAIN, RESIDUAL)
MATMUL(added_16, 16, PLAIN, RESIDUAL)
MATMUL(gated_8, 8, NORMED, GATED)
MATMUL(gated_16, 16, NORMED, GATED)
MATMUL(head_8, 8, NORMED, LOGITS)
MATMUL(head_16, 16, NORMED, LOGITS)

/* Embeddings and lengths from the host's memory, and the embeddings' sums of squares, `[rows, width / 32]`. Grid: x
   over stretches of 256 elements, y over rows. */
extern "C" __global__ void begin(const Half *hidden, const int *lengths, Half *residual, float *squares,
                                 int *own_lengths, int width)
{
    wait_for_predecessor();
    let_successor_start();
    const int place = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y;
    if (place == 0)
        own_lengths[row] = lengths[row];
    if (place >= width)
        return;
    const Half value = hidden[(long long)row * width + place];
    residual[(long long)row * width + place] = value;
    float square = to_float(value) * to_float(value);
    WARP_SUM(square)
    if (threadIdx.x % 32 == 0)
        squares[row * (width / 32) + place / 32] = square;
}

#define CHUNKS 8 /* of a slot's positions, at most */
#define WALKERS 16 /* of 16 threads each: a position takes 16 threads, for 8 dimensions each */
#define BATCH 4
#define DIM 128 /* at most */
#define NOTHING (-1e30f)

struct Vectors {
    Words key[BATCH], value[BATCH];
};

__device__ __forceinline__ float dot(const float *query, Words key)
{
    return query[0] * low(key.x) + query[1] * high(key.x) + query[2] * low(key.y) + query[3] * high(key.y) +
           query[4] * low(key.z) + query[5] * high(key.z) + query[6] * low(key.w) + query[7] * high(key.w);
}

__device__ __forceinline__ void add_weighted(float *sums, float weight, Words value)
{
    sums[0] += weight * low(value.x);
    sums[1] += weight * high(value.x);
    sums[2] += weight * low(value.y);
    sums[3] += weight * high(value.y);
    sums[4] += weight * low(value.z);
    sums[5] += weight * high(value.z);
    sums[6] += weight * low(value.w);
    sums[7] += weight * high(value.w);
}

/* Rotary embedding of dimensions i and i + dim / 2. */
__device__ __forceinline__ void rotate(const Half *vector, float cosine, float sine, int i, int dim, float *first,
                                       float *second)
{
    const float a = to_float(load_fresh_half(vector + i)), b = to_float(load_fresh_half(vector + i + dim / 2));
    *first = a * cosine - b * sine;
    *second = b * cosine + a * sine;
}

/* Rotates queries and keys, appends keys and values to the cache, and attends. Grid: x over chunks of a slot's
   positions, y over heads, z over rows. `packed` [rows, (heads + 2 kv_heads) * dim]; cache [rows, kv_heads, capacity,
   dim]; `cosines`, `sines` [capacity or more, dim / 2]. `scratch` has dim + 2 floats for each row, head and chunk,
   `counters` a zero for each row and head. */
extern "C" __global__ void __launch_bounds__(16 * WALKERS, ATTEND_BLOCKS)
    attend(const Half *packed, const Half *cosines, const Half *sines, Half *keys, Half *values, const int *lengths,
           Half *attended, float *scratch, int *counters, int heads, int kv_heads, int dim, int capacity)
{
    __shared__ float query[DIM];
    __shared__ __align__(16) Half new_key[DIM];
    __shared__ __align__(16) Half new_value[DIM];
    __shared__ float most[WALKERS], weight[WALKERS], mixed[WALKERS][DIM + 1];
    const int head = blockIdx.y, row = blockIdx.z, kv_head = head / (heads / kv_heads);
    const int length = load_fresh(lengths + row), total = length + 1;
    const int chunk = max(SHORTEST, ((total + CHUNKS - 1) / CHUNKS + WALKERS - 1) / WALKERS * WALKERS);
    const int chunks = (total + chunk - 1) / chunk;
    const int start = blockIdx.x * chunk, stop = min(start + chunk, total);
    if (start >= total || total > capacity)
        return;
    const int walker = threadIdx.x / 16, place = threadIdx.x % 16 * 8;
    const long long slot = (long long)(row * kv_heads + kv_head) * capacity * dim;
    const Words zero = {0, 0, 0, 0};
    Vectors vectors;
#pragma unroll
    for (int i = 0; i < BATCH; i++) {
        const int position = start + i * WALKERS + walker;
        const bool there = position < stop && position < length && place < dim;
        vectors.key[i] = there ? load_fresh(keys + slot + (long long)position * dim + place) : zero;
        vectors.value[i] = there ? load_fresh(values + slot + (long long)position * dim + place) : zero;
    }
    wait_for_predecessor();
    let_successor_start();
    if (threadIdx.x < dim / 2) {
        const int i = threadIdx.x;
        const float cosine = to_float(cosines[length * (dim / 2) + i]);
        const float sine = to_float(sines[length * (dim / 2) + i]);
        const Half *vector = packed + (long long)row * (heads + 2 * kv_heads) * dim;
        float first, second;
        rotate(vector + head * dim, cosine, sine, i, dim, &first, &second);
        /* weights are powers of two */
        const float scale = 1.4426950408889634f * rsqrtf((float)dim);
        query[i] = first * scale;
        query[i + dim / 2] = second * scale;
        rotate(vector + (heads + kv_head) * dim, cosine, sine, i, dim, &first, &second);
        new_key[i] = to_half(first);
        new_key[i + dim / 2] = to_half(second);
        new_value[i] = load_fresh_half(vector + (heads + kv_heads + kv_head) * dim + i);
        new_value[i + dim / 2] = load_fresh_half(vector + (heads + kv_heads + kv_head) * dim + i + dim / 2);
    }
    __syncthreads();
    if (stop == total && head % (heads / kv_heads) == 0 && threadIdx.x < dim) {
        keys[slot + (long long)length * dim + threadIdx.x] = new_key[threadIdx.x];
        values[slot + (long long)length * dim + threadIdx.x] = new_value[threadIdx.x];
    }
    float own_query[8], sums[8] = {}, largest = NOTHING, divisor = 0;
#pragma unroll
    for (int i = 0; i < 8; i++)
        own_query[i] = place < dim ? query[place + i] : 0;
    for (int base = start; base < stop; base += BATCH * WALKERS) {
        float scores[BATCH], new_largest = largest;
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
            const int position = base + i * WALKERS + walker;
            if (position == length && place < dim) {
                vectors.key[i] = *(const Words *)(new_key + place);
                vectors.value[i] = *(const Words *)(new_value + place);
            }
            scores[i] = dot(own_query, vectors.key[i]);
            for (int lanes = 8; lanes > 0; lanes /= 2)
                scores[i] += __shfl_xor_sync(0xffffffffu, scores[i], lanes);
            if (position < stop)
                new_largest = fmaxf(new_largest, scores[i]);
        }
        const float shrink = exp2f(largest - new_largest);
        largest = new_largest;
        divisor *= shrink;
#pragma unroll
        for (int i = 0; i < 8; i++)
            sums[i] *= shrink;
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
            const float share = base + i * WALKERS + walker < stop ? exp2f(scores[i] - largest) : 0;
            divisor += share;
            add_weighted(sums, share, vectors.value[i]);
            const int position = base + (BATCH + i) * WALKERS + walker;
            const bool there = position < stop && position < length && place < dim;
            vectors.key[i] = there ? load_fresh(keys + slot + (long long)position * dim + place) : zero;
            vectors.value[i] = there ? load_fresh(values + slot + (long long)position * dim + place) : zero;
        }
    }
    if (place == 0) {
        most[walker] = largest;
        weight[walker] = divisor;
    }
    if (place < dim) {
#pragma unroll
        for (int i = 0; i < 8; i++)
            mixed[walker][place + i] = sums[i];
    }
    __syncthreads();
    float top = NOTHING, sum = 0, below = 0;
    for (int i = 0; i < WALKERS; i++)
        top = fmaxf(top, most[i]);
    if (threadIdx.x < dim)
        for (int i = 0; i < WALKERS; i++) {
            const float share = exp2f(most[i] - top);
            below += share * weight[i];
            sum += share * mixed[i][threadIdx.x];
        }
    if (chunks > 1) {
        float *parts = scratch + (long long)(row * heads + head) * CHUNKS * (dim + 2);
        float *part = parts + blockIdx.x * (dim + 2);
        if (threadIdx.x < dim)
            part[threadIdx.x] = sum;
        if (threadIdx.x == 0) {
            part[dim] = top;
            part[dim + 1] = below;
        }
        if (!comes_last(counters + row * heads + head, chunks))
            return;
        top = NOTHING, sum = 0, below = 0;
        for (int i = 0; i < chunks; i++)
            top = fmaxf(top, load_fresh(parts + i * (dim + 2) + dim));
        if (threadIdx.x < dim)
            for (int i = 0; i < chunks; i++) {
                const float share = exp2f(load_fresh(parts + i * (dim + 2) + dim) - top);
                below += share * load_fresh(parts + i * (dim + 2) + dim + 1);
                sum += share * load_fresh(parts + i * (dim + 2) + threadIdx.x);
            }
    }
    if (threadIdx.x < dim)
        attended[(long long)(row * heads + head) * dim + threadIdx.x] = to_half(sum / below);
}
