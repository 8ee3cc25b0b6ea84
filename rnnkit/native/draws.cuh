// Batches of the tasks, which a block of threads makes for itself.
//
// Invariant: they equal those of batches.cpp, and so those of the tasks in Python, bit for bit. DRAW says which task draws; NI, NT, NB,
// STREAMS and NS are its sizes. Source is in cell.inc.
#pragma once
#include "philox.h"

// Word i of `count`: output i / Q of the block with index i % Q, where Q = ceil(count / 4).
DEVICE word32 word_of(const Source& s, word64 number, int count, int i) {
    const int Q = (count + 3) / 4;
    return philox((word64)s.seed, (word32)s.stream, number, (word32)(i % Q)).at[i / Q];
}

// Calls `each(i, half)` for i = 0 ... count - 1 with the halves of random words, in any thread.
template <class F>
DEVICE void halves(const Source& s, word64 number, int count, F each) {
    const int words = count / 2, Q = (words + 3) / 4;
    LANES(j, Q) {
        const Words w = philox((word64)s.seed, (word32)s.stream, number, (word32)j);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            const int i = k * Q + j;
            if (i >= words) continue;
            each(2 * i, (int)(short)(w.at[k] & 0xffff));
            each(2 * i + 1, (int)(short)(w.at[k] >> 16));
        }
    }
}

// Uniform numbers, which are also the targets.
DEVICE void draw_memory(const Source& s, word64 number, real* x) {  // x: (NI, NB)
    halves(s, number, NI * NB, [=](int i, int half) { x[i] = ((float)half + 0.5f) * (float)(1.7320508075688772 / 32768); });
}

// Each sample is the first whose running sum is not below a uniform number.
DEVICE void draw_function(const Source& s, word64 number, real* x, real* y) {  // x: (NI, NB), y: (NB)
    LANES(b, NB) {
        const double u = ((double)(int32_t)word_of(s, number, NB, b) + (2147483648.0 + 0.5)) * 2.3283064365386963e-10;
        const int bin = (int)(u * GUIDE);
        int64_t low = s.guide[bin], high = s.guide[bin + 1];
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (s.sums[middle] < u) low = middle + 1;
            else high = middle;
        }
        if (low >= s.samples) low = s.samples - 1;
        const float* row = (const float*)s.data + low * NI;
        for (int i = 0; i < NI; i++) x[i * NB + b] = row[i];
        y[b] = s.answers[low];
    }
}

// Windows of the text at random positions.
DEVICE void draw_text(const Source& s, word64 number, int32_t* x, int32_t* y) {  // symbols, x: (NT, NB), y: (NS, NB)
    LANES(b, NB) {
        const unsigned char* window = (const unsigned char*)s.data + below(word_of(s, number, NB, b) ^ 0x80000000u, (word64)s.samples);
        for (int t = 0; t <= NT; t++) {
            const int32_t symbol = window[t] > 96 ? window[t] - 96 : 0;  // a is 97 in ASCII
            if (t < NT) x[t * NB + b] = symbol;
            if (t > NT - NS) y[(t - 1 - (NT - NS)) * NB + b] = symbol;
        }
    }
}

// Symbols, offset by stream, and how many parentheses of each stream's type are open at the end.
DEVICE void draw_parentheses(const Source& s, word64 number, int32_t* x, int32_t* y) {  // x: (NT, STREAMS, NB), y: (STREAMS, NB)
    constexpr int J = STREAMS;
    halves(s, number, NT * J * NB, [=](int i, int half) { x[i] = symbol_of(half + 32768, J) + i / NB % J * 3 * J; });
    __syncthreads();
    const int cap = (int)s.cap;
    LANES(i, J * NB) {
        const int j = i / NB, opens = j * 3 * J + 2 * j;
        int count = 0;
        for (int t = 0; t < NT; t++) {
            const int symbol = x[t * J * NB + i], now = count + (symbol == opens) - (symbol == opens + 1), least = now < 0 ? 0 : now;
            count = least > cap ? cap : least;
        }
        y[i] = count;
    }
}

// Writes the symbols of a number from `end` leftwards; neighbours are NB numbers apart. Returns how many symbols there are.
DEVICE int write_number(int value, int32_t* end) {
    unsigned size = value < 0 ? -value : value;
    int length = 0;
    do {
        end[-(length++) * NB] = size % 10;
        size /= 10;
    } while (size);
    if (value < 0) end[-(length++) * NB] = 11;  // minus
    return length;
}

// The problem and its answer. Symbols: digits, blank 10, minus 11, plus 12, equals 13.
DEVICE void draw_arithmetic(const Source& s, word64 number, int32_t* x, int32_t* y) {  // x: (NT, NB), y: (NS, NB)
    LANES(i, NT * NB) x[i] = 10;
    LANES(i, NS * NB) y[i] = 10;
    __syncthreads();
    LANES(b, NB) {
        int first, second;
        draw_pair((word64)s.seed, (word32)s.stream, number, b, NB, (int)s.most, (int)s.first_tenth, (int)s.last_tenth, first, second);
        int32_t* end = x + (s.problem - 1) * NB + b;
        *end = 13;
        end -= NB;
        end -= write_number(second, end) * NB;
        *end = 12;
        write_number(first, end - NB);
        write_number(first + second, y + (NS - 1) * NB + b);
    }
}

// Draws training batch `number` of the kernel's task; all threads may read it afterwards.
DEVICE void draw(const Source& s, word64 number, void* x, void* y) {
    if (DRAW == MEM_THRU) draw_memory(s, number, (real*)x);
    if (DRAW == RCF) draw_function(s, number, (real*)x, (real*)y);
    if (DRAW == TEXT8) draw_text(s, number, (int32_t*)x, (int32_t*)y);
    if (DRAW == PARENS_COUNTING) draw_parentheses(s, number, (int32_t*)x, (int32_t*)y);
    if (DRAW == ARITHMETIC) draw_arithmetic(s, number, (int32_t*)x, (int32_t*)y);
    __syncthreads();
}
