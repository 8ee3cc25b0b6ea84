// Makes the batches of the tasks, one at a time, so that a batch is read while it is still in the cache.
//
// Invariant: every number and symbol equals, bit for bit, the one that the task in Python makes (rnnkit/tasks); Python is the reference.
// A batch depends on the source and its number alone. REAL is float, or double for the tests (the same floats, as doubles).
// Compiled by batches.py.

#include <vector>

#include "philox.h"
#include "products.h"

#include "cell.inc"  // what a task draws from, Source, and the enum Kind (codes.py)

constexpr int LANES = 32;

// The random words of a batch: word w Q + j is output w of the block with index j, where Q = ceil(count / 4). LANES blocks pass the rounds
// together. Each lane has 64 bits with a word in its lower half, which suits the vector product of 32 by 32 bits.
static const word32* random_words(const Source& s, word64 number, long count) {
    static thread_local std::vector<word32> words;
    const long run = (count + 3) / 4;
    if ((long)words.size() < 4 * run) words.resize(4 * run);
    for (long j = 0; j < run; j += LANES) {
        word64 lane[4][LANES];
        for (int i = 0; i < LANES; i++) {
            lane[0][i] = j + i;
            lane[1][i] = s.stream;
            lane[2][i] = (word32)number;
            lane[3][i] = number >> 32;
        }
        word32 k = (word32)s.seed, l = (word32)((word64)s.seed >> 32);
        for (int round = 0; round < 10; round++, k += 0x9E3779B9u, l += 0xBB67AE85u)
            for (int i = 0; i < LANES; i++) philox_round(lane[0][i], lane[1][i], lane[2][i], lane[3][i], k, l);
        const int count_here = run - j < LANES ? (int)(run - j) : LANES;
        for (int w = 0; w < 4; w++) {
            word32 narrow[LANES];
            for (int i = 0; i < LANES; i++) narrow[i] = (word32)lane[w][i];
            std::memcpy(words.data() + w * run + j, narrow, count_here * sizeof(word32));
        }
    }
    return words.data();
}

// Memory throughput: uniform numbers, which are also the targets.
static void memory(const Source& s, word64 number, real* x, real* y) {  // x, y: (n_in, batch)
    const long count = s.n_in * s.batch;
    const float scale = (float)(std::sqrt(3.0) / 32768);
    const int16_t* half = (const int16_t*)random_words(s, number, count / 2);
    for (long i = 0; i < count; i++) x[i] = ((float)half[i] + 0.5f) * scale;
    std::memcpy(y, x, count * sizeof(real));
}

// Random functions: each sample is the first whose running sum is not below a uniform number. The rows of the table are scattered in memory,
// so all of them are prefetched before the first is read.
static void function(const Source& s, word64 number, real* x, real* y) {  // x: (n_in, batch), y: (1, batch)
    const word32* words = random_words(s, number, s.batch);
    static thread_local std::vector<const float*> rows;
    rows.resize(s.batch);
    for (long b = 0; b < s.batch; b++) {
        const double u = ((double)(int32_t)words[b] + (2147483648.0 + 0.5)) * 0x1p-32;
        const int bin = (int)(u * GUIDE);
        int64_t low = s.guide[bin], size = s.guide[bin + 1] - low;
        while (size > 0) {  // a bisection without branches, since the processor could not predict them
            const int64_t half = size / 2;
            const bool above = s.sums[low + half] < u;
            low += above ? half + 1 : 0;
            size = above ? size - half - 1 : half;
        }
        if (low >= s.samples) low = s.samples - 1;
        rows[b] = (const float*)s.data + low * s.n_in;
        for (long i = 0; i < s.n_in; i += 16) __builtin_prefetch(rows[b] + i);
        y[b] = s.answers[low];
    }
    // turn the rows into columns, a square block at a time
    long i = 0;
    if constexpr (sizeof(real) == sizeof(float))
        for (; i + VW <= s.n_in; i += VW)
            for (long b = 0; b < s.batch; b += VW) {
                V v[VW];
                for (int k = 0; k < VW; k++) v[k] = load((const real*)rows[b + k] + i);
                transpose(v);
                for (int k = 0; k < VW; k++) store(x + (i + k) * s.batch + b, v[k]);
            }
    for (; i < s.n_in; i++)
        for (long b = 0; b < s.batch; b++) x[i * s.batch + b] = rows[b][i];
}

// text8: windows of the text at random positions.
static void text(const Source& s, word64 number, int32_t* x, int32_t* y) {  // symbols, x: (steps, batch), y: (scored, batch)
    const word32* words = random_words(s, number, s.batch);
    const unsigned char* letters = (const unsigned char*)s.data;
    const long unscored = s.steps - s.scored;
    for (long b = 0; b < s.batch; b++) {
        const unsigned char* window = letters + below(words[b] ^ 0x80000000u, s.samples);
        for (long t = 0; t <= s.steps; t++) {
            const int32_t symbol = window[t] > 96 ? window[t] - 96 : 0;  // a is 97 in ASCII
            if (t < s.steps) x[t * s.batch + b] = symbol;
            if (t > unscored) y[(t - 1 - unscored) * s.batch + b] = symbol;
        }
    }
}

// Parentheses: symbols, offset by stream, and how many parentheses of each stream's type are open at the end.
static void parentheses(const Source& s, word64 number, int32_t* x, int32_t* y) {  // x: (steps, types, batch), y: (types, batch)
    const int B = (int)s.batch, J = (int)s.types, cap = (int)s.cap;
    const int16_t* half = (const int16_t*)random_words(s, number, s.steps * J * B / 2);
    std::memset(y, 0, J * B * sizeof(int32_t));
    for (long t = 0; t < s.steps; t++)
        for (int j = 0; j < J; j++, half += B, x += B) {
            int32_t* count = y + j * B;
            for (int b = 0; b < B; b++) {
                const int symbol = symbol_of(half[b] + 32768, J);
                const int now = count[b] + (symbol == 2 * j) - (symbol == 2 * j + 1), least = now < 0 ? 0 : now;
                count[b] = least > cap ? cap : least;
                x[b] = symbol + j * 3 * J;
            }
        }
}

enum Symbol { BLANK = 10, MINUS = 11, PLUS = 12, EQUALS = 13 };

// Writes the symbols of a number from `end` leftwards; neighbours are `batch` numbers apart. Returns how many symbols there are.
static int write_number(int value, int32_t* end, long batch) {
    unsigned size = value < 0 ? -value : value;
    int length = 0;
    do {
        end[-(length++) * batch] = size % 10;
        size /= 10;
    } while (size);
    if (value < 0) end[-(length++) * batch] = MINUS;
    return length;
}

// Addition: the problem, right-aligned before "=", and the answer, right-aligned.
static void arithmetic(const Source& s, word64 number, int32_t* x, int32_t* y) {  // symbols, x: (steps, batch), y: (scored, batch)
    const long B = s.batch;
    for (long i = 0; i < s.steps * B; i++) x[i] = BLANK;
    for (long i = 0; i < s.scored * B; i++) y[i] = BLANK;
    for (long b = 0; b < B; b++) {
        int first, second;
        draw_pair(s.seed, (word32)s.stream, number, (int)b, (int)B, (int)s.most, (int)s.first_tenth, (int)s.last_tenth, first, second);
        int32_t* end = x + (s.problem - 1) * B + b;
        *end = EQUALS;
        end -= B;
        end -= write_number(second, end, B) * B;
        *end = PLUS;
        write_number(first, end - B, B);
        write_number(first + second, y + (s.scored - 1) * B + b, B);
    }
}

// Makes the batch of this number; `source` is a Source, and the shapes are those of the task's function above.
extern "C" void make_batch(const void* source, int64_t number, void* inputs, void* targets) {
    const Source& s = *(const Source*)source;
    switch (s.kind) {
        case MEM_THRU: return memory(s, number, (real*)inputs, (real*)targets);
        case RCF: return function(s, number, (real*)inputs, (real*)targets);
        case TEXT8: return text(s, number, (int32_t*)inputs, (int32_t*)targets);
        case PARENS_COUNTING: return parentheses(s, number, (int32_t*)inputs, (int32_t*)targets);
        case ARITHMETIC: return arithmetic(s, number, (int32_t*)inputs, (int32_t*)targets);
    }
}

// Makes the batches with the numbers number_K one after another. Each takes `input_bytes` and `target_bytes`.
extern "C" void make_batches(const void* source, int64_t K, const int64_t* number_K, void* inputs, int64_t input_bytes, void* targets,
                             int64_t target_bytes) {
    for (int64_t k = 0; k < K; k++) make_batch(source, number_K[k], (char*)inputs + k * input_bytes, (char*)targets + k * target_bytes);
}
