// Random words, and what the tasks make of single words, for processors and GPUs.
//
// Invariant: the words equal those of draws.py bit for bit. They are Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011), whose key is the seed
// and whose counter is (index, stream, number). This file needs no other header.

#pragma once
#ifdef __CUDACC__
#define ANYWHERE static __host__ __device__ inline
#else
#define ANYWHERE static inline
#endif

typedef unsigned int word32;
typedef unsigned long long word64;

struct Words {
    word32 at[4];
};

// One round on the four words of a counter, in place; `k` and `l` are the key of the round. Whole is word32, or word64 with a word in its
// lower half.
template <class Whole>
ANYWHERE void philox_round(Whole& a, Whole& b, Whole& c, Whole& d, word32 k, word32 l) {
    const word64 p = (word64)(word32)a * 0xD2511F53u, q = (word64)(word32)c * 0xCD9E8D57u;
    a = (Whole)(q >> 32) ^ b ^ k;
    b = (Whole)q;
    c = (Whole)(p >> 32) ^ d ^ l;
    d = (Whole)p;
}

// The block of four words that a seed, a stream, a number and an index name.
ANYWHERE Words philox(word64 seed, word32 stream, word64 number, word32 index) {
    Words w = {{index, stream, (word32)number, (word32)(number >> 32)}};
    word32 k = (word32)seed, l = (word32)(seed >> 32);
    for (int round = 0; round < 10; round++, k += 0x9E3779B9u, l += 0xBB67AE85u) philox_round(w.at[0], w.at[1], w.at[2], w.at[3], k, l);
    return w;
}

// Turns a random word into a whole number below n, with (nearly) equal probabilities.
ANYWHERE word64 below(word32 word, word64 n) { return word * n >> 32; }

// tasks/parentheses.py: turns 16 random bits, 0 ... 65535, into one of 3 `types` symbols, half of the time into one of the first 2 `types`.
ANYWHERE int symbol_of(int bits, int types) {
    const int symbol = bits * 4 * types >> 16, noise = symbol - (2 * types - 1);
    return symbol - (noise > 0 ? noise >> 1 : 0);
}

// tasks/arithmetic.py: which tenth of all problems a + b belongs to.
ANYWHERE word32 mix(word32 x) {
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
}
ANYWHERE int tenth_of(int a, int b) {
    const int low = a < b ? a : b, high = a < b ? b : a;
    return (int)below(mix(mix((word32)low) + (word32)high), 10);
}
// tasks/arithmetic.py: the two numbers of sample i of batch `number`, which has `batch` samples: the first pair whose tenth is in
// first ... last.
ANYWHERE void draw_pair(word64 seed, word32 stream, word64 number, int i, int batch, int most, int first, int last, int& a, int& b) {
    const word64 n = 2 * (word64)most + 1;
    for (word32 index = i;; index += batch) {
        const Words w = philox(seed, stream, number, index);
        for (int at = 0; at < 4; at += 2) {
            a = (int)below(w.at[at], n) - most;
            b = (int)below(w.at[at + 1], n) - most;
            const int tenth = tenth_of(a, b);
            if (first <= tenth && tenth <= last) return;
        }
    }
}
