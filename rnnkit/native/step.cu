// Whole training steps of one model per block of threads, without leaving the multiprocessor.
//
// Invariant: a block computes the same as step.cpp, up to rounding, with the same layouts; it reads and writes one model's state, and no other
// block's. Shapes are constants, which cuda.py defines. The cell's equations are cell.inc, printed by trace.py; block.cuh has the primitives.
//
//   NU units, NL layers, NI inputs, NO outputs, NT steps, NB samples per batch
//   INPUT, STREAMS, LOSS, HEADS, NS (scored steps): as in step.cpp
//   DRAW: the task whose batches are drawn here; below 0, batches come from memory
//   THREADS per block; TILE: rows of a product per thread; STAGE: see block.cuh
//   MEMORY: what is in shared memory beside what is staged there. 0 nothing, 1 the parameters, 2 also what one step of a layer uses, its states
//   included, 3 the gradient instead of the states, 4 also the adjoints of all its steps, 5 everything.
#include "block.cuh"

struct Cell {  // as in step.cpp
    const real *Wx, *Wh, *b;
    int inputs;
    const real *ax, *x;
    const real* const* s;
    real* const* s_next;
    real *up, *pre;
    real* const* save;
    real* const* arg;
    real* d_pre;
    real* const* d_s;
    const real* d_up;
    real *d_x, *d_arg;
    bool relu;
};
DEVICE void affine(const Cell& c, int map, int maps, const real* h) {
    const Term t[2] = {{c.Wh + map * NU * NU, NU, 1, h, NU}, {c.Wx + map * NU * c.inputs, c.inputs, 1, c.x, c.inputs}};
    const real* base = c.ax ? c.ax + map * NU * NB : nullptr;
    if (c.x) product<TILE, 2>(maps * NU, t, c.b + map * NU, base, c.pre + map * NU * NB);
    else product<TILE, 1>(maps * NU, t, c.b + map * NU, base, c.pre + map * NU * NB);
}
DEVICE void affine_of_input(const Cell& c, int map, int maps) {
    const Term t = {c.Wx + map * NU * c.inputs, c.inputs, 1, c.x, c.inputs};
    const real* base = c.ax ? c.ax + map * NU * NB : nullptr;
    if (c.x) product<TILE, 1>(maps * NU, &t, c.b + map * NU, base, c.pre + map * NU * NB);
    else product<TILE, 0>(maps * NU, &t, c.b + map * NU, base, c.pre + map * NU * NB);
}
DEVICE void affine_adjoint(const Cell& c, int map, int maps, const real* base, real* d_h) {
    const Term t = {c.Wh + map * NU * NU, 1, NU, c.d_pre + map * NU * NB, maps * NU};
    product<tile_of(NU), 1>(NU, &t, nullptr, base, d_h);
}
#include "cell.inc"
#include "draws.cuh"

constexpr int N = NU, L = NL, I = NI, O = NO, T = NT, S = NS, n = N * B;
constexpr bool PROJECT = EQUAL_SIZES && L > 0;
constexpr int TOP = L ? N : I, INPUT_ROWS = PROJECT ? N : MAPS * N, WORDS = (I + 31) / 32;
// theta's blocks, as networks.blocks lays them out
constexpr int FIRST_INPUTS = PROJECT ? N : I, LAYER = MAPS * N * N + RECURRENT * N * N, LAYER_0 = MAPS * N * FIRST_INPUTS + RECURRENT * N * N;
DEVICE int inputs_of(int l) { return l ? N : FIRST_INPUTS; }
DEVICE int at_Wx(int l) { return (PROJECT ? N * I : 0) + (l ? LAYER_0 + (l - 1) * LAYER : 0); }
DEVICE int at_Wh(int l) { return at_Wx(l) + MAPS * N * inputs_of(l); }
constexpr int at_Wo = (PROJECT ? N * I : 0) + (L ? LAYER_0 + (L - 1) * LAYER : 0), MATRICES = at_Wo + O * TOP, at_bp = MATRICES;
DEVICE int at_b(int l) { return at_bp + (PROJECT ? N : 0) + l * (MAPS + STATES) * N; }
DEVICE int at_h0(int l) { return at_b(l) + MAPS * N; }
constexpr int at_bo = at_bp + (PROJECT ? N : 0) + L * (MAPS + STATES) * N, P = at_bo + O;

// ---- streams of symbols ------------------------------------------------------------------------------------------------------
// With several streams, no two of which have a symbol in common, the weights of the inputs are most of the parameters. A block that has its
// parameters in shared memory (but not its gradient) then has them there for the steps alone, and puts the sums of their gradient in the place of
// everything: meanwhile the parameters are in global memory.
constexpr bool MANY_STREAMS = INPUT == INDEX && STREAMS > 1 && DRAW == PARENS_COUNTING, OVERLAID = MANY_STREAMS && (MEMORY == 1 || MEMORY == 2);
constexpr int ROWS_AT_ONCE = !MANY_STREAMS || INPUT_ROWS > 28 ? 32 : (INPUT_ROWS + 3) / 4 * 4;
constexpr int SYMBOLS_STAGED = INPUT != INDEX ? 0 : MANY_STREAMS ? I * ROWS_AT_ONCE + 2 * (ROWS_AT_ONCE + STREAMS) * APART : (I * 32 + B * STRIDE + 3) / 4 * 4;
constexpr int STAGED = OVERLAID || TILES_STAGED > SYMBOLS_STAGED ? TILES_STAGED : SYMBOLS_STAGED;

// ---- memory of a model: offsets in numbers, each a multiple of four --------------------------------------------------------
constexpr int pad(int x) { return (x + 3) / 4 * 4; }
constexpr int a_theta = 0, a_bits = a_theta + pad(P), a_y = a_bits + (INPUT == BITS ? WORDS * B : 0), a_part = a_y + (INPUT == BITS ? B : 0),
              LEVEL_1 = a_part + pad(WARPS);
constexpr int TOP_ROWS = L > 1 ? T : S;  // steps whose adjoints come down to a layer; the top layer receives those of scored steps alone
constexpr bool NOW = MEMORY == 2;        // a step's states, arguments and inputs are in shared memory, and all steps' are kept in global memory
constexpr int a_ax = LEVEL_1, a_ds = a_ax + (PROJECT || !L ? 0 : MAPS * n), a_darg = a_ds + STATES * n, a_s_now = a_ds, a_arg_now = a_s_now + 2 * STATES * n,
              a_x_now = NOW ? a_arg_now + ARGS * n : a_darg + (ARGS ? n : 0),  // these and the adjoints of a step are never needed at once
              a_own = a_x_now + (NOW && L && (PROJECT || L > 1) ? n : 0), LEVEL_2 = a_own + (MEMORY < 4 ? MAPS * n : 0);
constexpr int a_grad = LEVEL_2, LEVEL_3 = a_grad + pad(P);
constexpr int a_dpre = LEVEL_3, a_dup = a_dpre + (L ? MAPS * n * T : 0), LEVEL_4 = a_dup + (L > 1 ? 2 : L) * TOP_ROWS * n;
constexpr int a_pre = MEMORY < 4 ? a_own : a_dpre;  // forward and backward never need these two at once
constexpr int INPUTS = DRAW < 0 ? 0 : INPUT == INDEX ? T * STREAMS * B : I * B;  // of a drawn batch
constexpr int TARGETS = DRAW < 0 || DRAW == MEM_THRU ? 0 : LOSS == SOFTMAX ? S * HEADS * B : O * B;
constexpr int a_p = LEVEL_4, a_dp = a_p + (PROJECT ? n * T : 0), a_x = a_dp + (PROJECT ? n * T : 0), a_targets = a_x + INPUTS,
              a_z = a_targets + TARGETS, a_dz = a_z + S * O * B, a_layers = a_dz + S * O * B;
constexpr int l_s = 0, l_save = l_s + n * STATES * (T + 1), l_arg = l_save + n * SAVES * T, l_up = l_arg + n * ARGS * T,
              PER_LAYER = l_up + (UP_IS_STATE ? 0 : n * T);
constexpr bool WINDOW = MEMORY == 5 && L > 1;  // one layer is in shared memory, and the others wait in global memory
constexpr int a_below = a_layers + PER_LAYER, LEVEL_5 = L ? a_below + (L > 1 ? T * n : 0) : a_layers;
constexpr int ARENA = WINDOW ? LEVEL_5 + (L - 1) * PER_LAYER : a_layers + L * PER_LAYER;
constexpr int LEVELS[6] = {0, LEVEL_1, LEVEL_2, LEVEL_3, LEVEL_4, LEVEL_5}, NEAR = LEVELS[MEMORY], REST = ARENA - NEAR;
constexpr int SHARED = OVERLAID && SYMBOLS_STAGED > STAGED + NEAR ? SYMBOLS_STAGED : STAGED + NEAR;

// Blocks that share a multiprocessor: the fewer they are, the more registers a thread has, and staged products need many.
constexpr int BY_THREADS = THREADS > 448 ? 1 : (STAGES_PRODUCTS ? 448 : 640) / THREADS, BY_MEMORY = 228 * 1024 / (4 * SHARED + 1024);
constexpr int BLOCKS = BY_THREADS < BY_MEMORY ? BY_THREADS : BY_MEMORY > 0 ? BY_MEMORY : 1;

// The model at work.
struct Model {
    real *shared, *rest;     // memory: offsets below NEAR are in shared memory, the others in global memory
    real* trained;           // (P): where the parameters are while they are updated; with OVERLAID in global memory
    const double* hp;        // (HYPERS)
    bool relu, every;
    int first, steps;        // the first scored step, and how many steps the model runs (first + S)
    const real* x;           // (I, B), with STATIC
    const int32_t* symbols;  // (T, STREAMS, B), with INDEX
};
// The memory at an offset that is in shared memory from a level of MEMORY on.
DEVICE real* in(const Model& q, int at, int level) { return MEMORY >= level ? q.shared + at : q.rest + (at - NEAR); }
DEVICE real* theta_of(const Model& q) { return in(q, a_theta, 1); }
DEVICE real* grad_of(const Model& q) { return in(q, a_grad, 3); }
DEVICE int32_t* bits_of(const Model& q) { return (int32_t*)in(q, a_bits, 1); }
DEVICE real* layer_of(const Model& q, int l) { return in(q, a_layers + (WINDOW ? 0 : l * PER_LAYER), 5); }
DEVICE real* waiting_layer_of(const Model& q, int l) { return q.rest + l * PER_LAYER; }  // with WINDOW
constexpr int UP_STEP = UP_IS_STATE ? STATES * n : n, BELOW_STEP = WINDOW ? n : UP_STEP;
DEVICE real* up_in(real* layer, int t) { return layer + (UP_IS_STATE ? l_s + STATES * n : l_up) + t * UP_STEP; }
DEVICE real* up_of(const Model& q, int l, int t) { return up_in(layer_of(q, l), t); }
DEVICE real* below_of(const Model& q, int l, int t) {  // what layer l reads of layer l - 1
    return WINDOW ? in(q, a_below, 5) + t * n : up_of(q, l - 1, t);
}
DEVICE const real* input_of(const Model& q, int l, int t) {  // what layer l reads, unless that is the batch itself
    return l ? below_of(q, l, t) : in(q, a_p, 5) + t * n;
}
DEVICE real* d_pre_of(const Model& q, int t) { return in(q, a_dpre, 4) + t * MAPS * n; }  // of the layer at work
DEVICE real* d_up_of(const Model& q, int l) { return in(q, a_dup, 4) + l % 2 * TOP_ROWS * n; }
DEVICE bool shows_input(const Model& q, int t) { return INPUT == INDEX || t == 0 || q.every; }

struct Pointers {
    real *s[STATES + 1], *s_next[STATES + 1], *save[SAVES + 1], *arg[ARGS + 1], *d_s[STATES + 1];
};
DEVICE real* state_in(real* layer, int t, int i) { return layer + l_s + (t * STATES + i) * n; }
DEVICE real* arg_in(real* layer, int t, int i) { return layer + l_arg + (t * ARGS + i) * n; }
DEVICE real* state_now(const Model& q, int t, int i) { return in(q, a_s_now, 2) + (t % 2 * STATES + i) * n; }  // with NOW
DEVICE Cell cell_at(const Model& q, int l, int t, Pointers& p, bool backward) {
    real* a = layer_of(q, l);
#pragma unroll
    for (int i = 0; i < STATES; i++) {
        p.s[i] = NOW && !backward ? state_now(q, t, i) : state_in(a, t, i);
        p.s_next[i] = NOW && !backward ? state_now(q, t + 1, i) : state_in(a, t + 1, i);
        p.d_s[i] = in(q, a_ds, 2) + i * n;
    }
#pragma unroll
    for (int i = 0; i < SAVES; i++) p.save[i] = a + l_save + (t * SAVES + i) * n;
#pragma unroll
    for (int i = 0; i < ARGS; i++) p.arg[i] = NOW && !backward ? in(q, a_arg_now, 2) + i * n : arg_in(a, t, i);
    const bool from_input = l == 0 && !PROJECT;
    const real* theta = theta_of(q);
    Cell c;
    c.Wx = theta + at_Wx(l), c.Wh = theta + at_Wh(l), c.b = theta + at_b(l), c.inputs = inputs_of(l);
    c.ax = from_input && shows_input(q, t) ? in(q, a_ax, 2) : nullptr;
    c.x = from_input ? nullptr : NOW && !backward ? in(q, a_x_now, 2) : input_of(q, l, t);
    c.s = p.s, c.s_next = p.s_next, c.up = up_of(q, l, t), c.pre = in(q, a_pre, MEMORY < 4 ? 2 : 4), c.save = p.save, c.arg = p.arg;
    c.d_pre = NOW ? in(q, a_own, 2) : d_pre_of(q, t), c.d_s = p.d_s;
    c.d_up = l < L - 1 ? d_up_of(q, l) + t * n : t < q.first ? nullptr : d_up_of(q, l) + (t - q.first) * n;
    c.d_x = from_input ? nullptr : l == 0 ? in(q, a_dp, 5) + t * n : d_up_of(q, l - 1) + t * n;
    c.d_arg = in(q, a_darg, 2);
    c.relu = q.relu;
    return c;
}
// Copies between the memory of one step and that of all steps, with NOW. Each thread copies the numbers that it computes, so there are no
// barriers: move has the order of the loops in cell.inc.
DEVICE void keep_step(const Model& q, int l, int t) {
#pragma unroll
    for (int i = 0; i < STATES; i++) move(state_in(layer_of(q, l), t + 1, i), state_now(q, t + 1, i), n);
#pragma unroll
    for (int i = 0; i < ARGS; i++) move(arg_in(layer_of(q, l), t, i), in(q, a_arg_now, 2) + i * n, n);
}
DEVICE void keep_adjoints(const Model& q, int t) {
#pragma unroll
    for (int k = 0; k < MAPS; k++) move(d_pre_of(q, t) + k * n, in(q, a_own, 2) + k * n, n);
}
// Asks for what the backward pass of a step reads from global memory.
DEVICE void fetch_step(const Model& q, int l, int t) {
    real* a = layer_of(q, l);
    fetch(state_in(a, t, 0), STATES * n);
    fetch(a + l_save + t * SAVES * n, SAVES * n);
    if (l < L - 1 || t >= q.first) fetch(d_up_of(q, l) + (l < L - 1 ? t : t - q.first) * n, n);
}

// out = A x + bias, where x is the static input of the batch. A: (R, I), bias: (R), out: (R, B)
template <int TM>
DEVICE void product_of_input(const Model& q, int R, const real* A, const real* bias, real* out) {
    const Term term = {A, I, 1, q.x, I};
    if (INPUT == BITS) product_of<TM, 1>(1, R, &term, Bits{bits_of(q)}, bias, nullptr, out, 0);
    else product<TM, 1>(R, &term, bias, nullptr, out);
}
DEVICE void gradient_by_input(const Model& q, int R, const real* D, real* G) {
    if (INPUT == BITS) gradient_of(R, I, 1, D, 0, Bits{bits_of(q)}, G);
    else matrix_gradient(R, I, 1, D, 0, q.x, 0, G);
}

// Computes, before the steps, what layer 0 reads: the projection p of the input at all steps, or W x of a static input.
DEVICE void read_input(const Model& q) {
    const real *theta = theta_of(q), *bias = theta + at_bp;
    if (PROJECT) {
        real* p = in(q, a_p, 5);
        if (INPUT == INDEX) {
            for (int t = 0; t < q.steps; t++) {
                const int32_t* symbols = q.symbols + t * STREAMS * B;
                gather(N, I, theta, symbols_at(symbols), symbols, bias, p + t * n);
            }
            return;
        }
        product_of_input<TILE>(q, N, theta, bias, p);
        LANES(j, n) {
            const real first = p[j], later = q.every ? first : bias[j / B];
            for (int t = 1; t < q.steps; t++) p[t * n + j] = later;
        }
    } else if (L && INPUT != INDEX) product_of_input<TILE>(q, MAPS * N, theta + at_Wx(0), nullptr, in(q, a_ax, 2));
}

// Copies what a layer sends up to where the layer above reads it, with WINDOW.
DEVICE void move_ups(const Model& q, real* layer) {
#pragma unroll 1
    for (int t = 0; t < q.steps; t++) move(in(q, a_below, 5) + t * n, up_in(layer, t), n);
}

// The outputs z (S, O, B) at the scored steps.
DEVICE void forward(const Model& q) {
    const real* theta = theta_of(q);
    real* z = in(q, a_z, 5);
    if (!L) {
        product_of_input<1>(q, O, theta + at_Wo, theta + at_bo, z);
        return;
    }
    read_input(q);
    Pointers p;
    const bool gathers = INPUT == INDEX && !PROJECT;
#pragma unroll 1
    for (int l = 0; l < L; l++) {
        if (NOW) __syncthreads();
        LANES(j, STATES * n) {
            layer_of(q, l)[l_s + j] = theta[at_h0(l) + j / B];
            if (NOW) state_now(q, 0, 0)[j] = theta[at_h0(l) + j / B];
        }
        Symbols next = {};
        if (gathers && l == 0) next = symbols_at(q.symbols);
        __syncthreads();
#pragma unroll 1
        for (int t = 0; t < q.steps; t++) {
            const Cell c = cell_at(q, l, t, p, false);
            if (gathers && l == 0) {
                gather(MAPS * N, I, theta + at_Wx(0), next, q.symbols + t * STREAMS * B, nullptr, in(q, a_ax, 2));
                if (t + 1 < q.steps) next = symbols_at(q.symbols + (t + 1) * STREAMS * B);
            }
            if (NOW && c.x) move(in(q, a_x_now, 2), input_of(q, l, t), n);
            cell_forward(c);
            if (NOW) keep_step(q, l, t);
        }
        if (WINDOW && l < L - 1) {
            __syncthreads();
            move(waiting_layer_of(q, l), layer_of(q, l), PER_LAYER);
            move_ups(q, layer_of(q, l));
            __syncthreads();
        }
    }
    const Term out = {theta + at_Wo, N, 1, up_of(q, L - 1, q.first), N};
    products<O == 1 ? 1 : TILE>(S, O, out, UP_STEP, theta + at_bo, z, O * B);
}

// The gradients of the parameters of layer l, from the adjoints of all its steps.
DEVICE void layer_gradient(const Model& q, int l) {
    real *a = layer_of(q, l), *D = d_pre_of(q, 0), *g = grad_of(q);
    row_sums(STATES * N, 1, in(q, a_ds, 2), 0, g + at_h0(l));
    row_sums(MAPS * N, q.steps, D, MAPS * n, g + at_b(l));
#pragma unroll
    for (int m = 0; m < RECURRENT; m++) {
        if (m && MAP_ARG[m] == MAP_ARG[m - 1]) continue;  // maps with the same argument are one matrix
        int last = m;
        while (last + 1 < RECURRENT && MAP_ARG[last + 1] == MAP_ARG[m]) last++;
        const bool state = MAP_ARG[m] < 0;
        const real* H = state ? a + l_s : a + l_arg + MAP_ARG[m] * n;
        matrix_gradient((last - m + 1) * N, N, q.steps, D + m * n, MAPS * n, H, (state ? STATES : ARGS) * n, g + at_Wh(l) + m * N * N);
    }
    if (l || PROJECT) {
        matrix_gradient(MAPS * N, N, q.steps, D, MAPS * n, input_of(q, l, 0), l ? BELOW_STEP : n, g + at_Wx(l));
    }
    if (l) return;
    real *E = PROJECT ? in(q, a_dp, 5) : D, *to = g + (PROJECT ? 0 : at_Wx(0));
    if (PROJECT) row_sums(N, q.steps, E, n, g + at_bp);
    if (INPUT == INDEX) {
        if (MANY_STREAMS) scatter_streams<ROWS_AT_ONCE>(INPUT_ROWS, I, q.steps, E, INPUT_ROWS * B, q.symbols, to);
        else scatter(INPUT_ROWS, I, q.steps, E, INPUT_ROWS * B, q.symbols, to);
        return;
    }
    if (q.every) sum_steps(INPUT_ROWS * B, q.steps, E, INPUT_ROWS * B);
    gradient_by_input(q, INPUT_ROWS, E, to);
}

// The gradient of sum(dz * z) with respect to theta. Reads what forward has left in memory.
DEVICE void backward(const Model& q) {
    const real *theta = theta_of(q), *dz = in(q, a_dz, 5);
    real* g = grad_of(q);
    row_sums(O, S, dz, O * B, g + at_bo);
    if (!L) {
        gradient_by_input(q, O, dz, g + at_Wo);
        return;
    }
    matrix_gradient(O, N, S, dz, O * B, up_of(q, L - 1, q.first), UP_STEP, g + at_Wo);
    const Term out = {theta + at_Wo, 1, N, dz, O};
    products<TILE>(S, N, out, O * B, nullptr, d_up_of(q, L - 1), n);
    Pointers p;
#pragma unroll 1
    for (int l = L - 1; l >= 0; l--) {
        real* d_s = in(q, a_ds, 2);
        LANES(j, STATES * n) d_s[j] = 0.f;
        __syncthreads();
#pragma unroll 1
        for (int t = q.steps - 1; t >= 0; t--) {
            const Cell c = cell_at(q, l, t, p, true);
            if (MEMORY <= 2 && t) fetch_step(q, l, t - 1);
            cell_backward(c);
            if (c.d_x) {
                const Term x = {c.Wx, 1, c.inputs, c.d_pre, MAPS * N};
                product<TILE, 1>(c.inputs, &x, nullptr, READS_X ? c.d_x : nullptr, c.d_x);
            }
            if (NOW) keep_adjoints(q, t);
        }
        layer_gradient(q, l);
        if (WINDOW && l) {
            __syncthreads();
            move(layer_of(q, l - 1), waiting_layer_of(q, l - 1), PER_LAYER);
            if (l > 1) move_ups(q, waiting_layer_of(q, l - 2));
            __syncthreads();
        }
    }
}

// ---- losses, as in step.cpp -------------------------------------------------------------------------------------------------
DEVICE void loss_gradient(const Model& q, const void* targets) {
    const real* z = in(q, a_z, 5);
    real* dz = in(q, a_dz, 5);
    if (LOSS == BINARY) {
        LANES(b, B) dz[b] = (sigmoid1(z[b]) - ((const real*)targets)[b]) * (1.f / B);
    } else if (LOSS == SQUARED) {
        LANES(j, O * B) dz[j] = (z[j] - ((const real*)targets)[j]) * (2.f / (O * B));
    } else {
        constexpr int C = O / HEADS;
        constexpr float share = 1.f / (B * S);
        LANES(j, S * HEADS * B) {
            const int at = j / B * C * B + j % B, y = ((const int32_t*)targets)[j];
            float most = z[at], sum = 0.f;
            for (int c = 1; c < C; c++) most = fmaxf(most, z[at + c * B]);
            for (int c = 0; c < C; c++) {
                const float e = __expf(z[at + c * B] - most);
                sum += e;
                dz[at + c * B] = e;
            }
            const float scale = share / sum;
            for (int c = 0; c < C; c++) dz[at + c * B] = dz[at + c * B] * scale - (c == y ? share : 0.f);
        }
    }
}

// The loss of sample b (in nats, or squared error), and whether all its answers are right.
DEVICE double loss_of(const Model& q, const void* targets, int b, bool& right) {
    const real* z = in(q, a_z, 5);
    if (LOSS == BINARY) {
        const double zy = ((const real*)targets)[b] > 0.f ? z[b] : -z[b];
        right = zy > 0;
        return zy > 0 ? log1p(exp(-zy)) : log1p(exp(zy)) - zy;
    }
    double total = 0;
    if (LOSS == SQUARED) {
        for (int o = 0; o < O; o++) {
            const double d = (double)z[o * B + b] - ((const real*)targets)[o * B + b];
            total += d * d;
        }
        right = false;
        return total / O;
    }
    constexpr int C = O / HEADS;
    right = true;
    for (int h = 0; h < S * HEADS; h++) {
        const real* zh = z + h * C * B + b;
        const int answer = ((const int32_t*)targets)[h * B + b];
        double most = zh[0], sum = 0;
        for (int c = 1; c < C; c++) most = zh[c * B] > most ? zh[c * B] : most;
        for (int c = 0; c < C; c++) {
            sum += exp((double)zh[c * B] - most);
            if (c != answer && !(zh[c * B] < zh[answer * B])) right = false;
        }
        total += log(sum) + most - zh[answer * B];
    }
    return total / S;
}

// ---- the update rule of all optimisers; see training.rule.update -----------------------------------------------------------
struct Pace {  // what depends on the step: powers of the coefficients, which one product per step keeps up to date
    double lr, m_power, v_power, decay;
};
DEVICE Pace pace_at(const double* hp, int64_t step) {
    Pace p;
    p.decay = pow(hp[LR_DECAY_RATE], 1 / hp[TRAIN_STEPS]);
    p.lr = hp[LR_INIT] * pow(hp[LR_DECAY_RATE], (double)step / hp[TRAIN_STEPS]);
    p.m_power = pow(hp[M_KEEP], (double)step + 1), p.v_power = pow(hp[V_KEEP], (double)step + 1);
    return p;
}
// Clips the gradient and updates the model by it; returns false, and changes nothing, where the gradient is not finite. m, v: (P)
DEVICE bool update(const Model& q, real* m, real* v, Pace& pace) {
    const double* hp = q.hp;
    real *theta = q.trained, *grad = grad_of(q), *part = in(q, a_part, 1);
    const float l2 = (float)hp[L2];
    float norm = 0.f;
    constexpr int AT_ONCE = P > 2 * THREADS ? 4 : 1;  // numbers of a thread that are on their way from memory together
#pragma unroll 1
    for (int from = here(threadIdx.x); from < P; from += AT_ONCE * THREADS) {
        float g[AT_ONCE], w[AT_ONCE];
#pragma unroll
        for (int i = 0, j = from; i < AT_ONCE; i++, j += THREADS) g[i] = j < P ? grad[j] : 0.f, w[i] = j < MATRICES ? theta[j] : 0.f;
#pragma unroll
        for (int i = 0, j = from; i < AT_ONCE; i++, j += THREADS) {
            g[i] += l2 * w[i];
            if (j < P) grad[j] = g[i];
            norm += g[i] * g[i];
        }
    }
    norm = warp_sum(norm);
    if (LANE == 0) part[WARP] = norm;
    __syncthreads();
    norm = 0.f;
    for (int w = 0; w < WARPS; w++) norm += part[w];
    norm = sqrtf(norm);
    if (!isfinite(norm)) return false;
    const float scale = norm > hp[CLIP] ? (float)hp[CLIP] / norm : 1.f;
    const float vkeep = (float)hp[V_KEEP];
    const int equations = (int)hp[EQUATIONS];
    const bool with_v = reads_v(equations), correct = hp[CORRECT] != 0;
    const float mc = correct ? 1.f / (float)(1 - pace.m_power) : 1.f, vc = correct ? 1.f / (float)(1 - pace.v_power) : 1.f;
    const Coefficients c = {(float)hp[M_KEEP], (float)hp[M_TAKE], vkeep, 1 - vkeep, (float)pace.lr * mc, vc};
#pragma unroll 1
    for (int from = here(threadIdx.x); from < P; from += AT_ONCE * THREADS) {
        float g[AT_ONCE], w[AT_ONCE], mean[AT_ONCE], square[AT_ONCE];
#pragma unroll
        for (int i = 0, j = from; i < AT_ONCE; i++, j += THREADS) {
            if (j >= P) continue;
            g[i] = grad[j] * scale, w[i] = theta[j], mean[i] = m[j];
            if (with_v) square[i] = v[j];
        }
#pragma unroll
        for (int i = 0, j = from; i < AT_ONCE; i++, j += THREADS) {
            if (j >= P) continue;
            theta[j] = w[i] - change(equations, g[i], mean[i], square[i], c);
            m[j] = mean[i];
            if (with_v) v[j] = square[i];
        }
    }
    pace.lr *= pace.decay, pace.m_power *= hp[M_KEEP], pace.v_power *= hp[V_KEEP];
    __syncthreads();
    return true;
}

// ---- kernels -----------------------------------------------------------------------------------------------------------------
DEVICE Model model_of(int i, const double* hp, real* shared, real* arena) {
    Model q;
    q.shared = shared + STAGED, q.rest = arena + (int64_t)i * REST, q.hp = hp + i * HYPERS;
    q.relu = q.hp[RELU] != 0, q.every = q.hp[EVERY] != 0;
    const double first = q.hp[FIRST_SCORED];  // bounded as in step.cpp
    q.first = first >= 0 && first <= T - S ? (int)first : T - S, q.steps = q.first + S;
    q.trained = theta_of(q), q.x = nullptr, q.symbols = nullptr;
    return q;
}
DEVICE int samples_of(const Model& q, int64_t count) {
    if (INPUT != BITS || !(q.hp[SAMPLES] >= 1)) return 1;
    return q.hp[SAMPLES] <= count ? (int)q.hp[SAMPLES] : (int)count;
}
DEVICE void begin(const Model& q, const real* theta) {
#pragma unroll 4
    for (int j = here(threadIdx.x); j < P; j += THREADS) theta_of(q)[j] = theta[j];
    __syncthreads();
}
// Loads the samples first ... first + B - 1 of the model's own data set, in a circle.
DEVICE void load_bits(const Model& q, const int32_t* words, const real* labels, int count, int first, int samples) {
    LANES(j, WORDS * B) bits_of(q)[j] = words[j / B * count + (first + j % B) % samples];
    LANES(b, B) in(q, a_y, 1)[b] = labels[(first + b) % samples];
    __syncthreads();
}
// Points q at batch k of the inputs, and returns its targets.
DEVICE const void* load_batch(Model& q, const void* inputs, const void* targets, int64_t k) {
    if (INPUT == INDEX) q.symbols = (const int32_t*)inputs + k * T * STREAMS * B;
    else q.x = (const real*)inputs + k * I * B;
    return LOSS == SOFTMAX ? (const void*)((const int32_t*)targets + k * S * HEADS * B) : (const void*)((const real*)targets + k * O * B);
}

// Draws training batch `number` into the model's own memory, and returns its targets.
DEVICE const void* draw_batch(Model& q, const Source& source, int64_t number) {
    real *x = in(q, a_x, 5), *y = DRAW == MEM_THRU ? x : in(q, a_targets, 5);
    draw(source, (word64)number, x, y);
    q.x = x, q.symbols = (const int32_t*)x;
    return y;
}

// Writes the ticket of this launch where the host sees it (done may be null), after everything else that the block has written. Step, dead
// and results may be in the host's memory too; then no copy and no event has to wait its turn among the streams.
DEVICE void report(int64_t* done, int64_t ticket) {
    __syncthreads();
    if (threadIdx.x || !done) return;
    __threadfence_system();
    *(volatile int64_t*)(done + blockIdx.x) = ticket;
}

// Block i trains model i for at most `chunk` steps, from step[i] on, as net_train of step.cpp does. Where batches are drawn, `inputs` is their
// Source. `arena` holds REST numbers per model. Shapes as in step.cpp; done: one ticket per block
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
train(real* theta, real* m, real* v, const double* hp, int64_t* step, int64_t* dead, int chunk, const void* inputs, const void* targets,
      int64_t count, real* arena, int64_t* done, int64_t ticket) {
    const int i = blockIdx.x;
    int64_t now = step[i];
    const int64_t end = (int64_t)hp[i * HYPERS + TRAIN_STEPS];
    bool alive = !dead[i];
    if (!alive || now >= end) return report(done, ticket);
    DYNAMIC_SHARED(shared);
    Model q = model_of(i, hp, shared, arena);
    theta += (int64_t)i * P, m += (int64_t)i * P, v += (int64_t)i * P;
    begin(q, theta);
    if (OVERLAID) q.trained = theta;
    const int samples = samples_of(q, count);
    int first = INPUT == BITS ? (int)(now * B % samples) : 0;
    Pace pace = pace_at(q.hp, now);
#pragma unroll 1
    for (int c = 0; c < chunk && alive && now < end; c++) {
        const void* y = in(q, a_y, 1);
        if (INPUT == BITS) load_bits(q, (const int32_t*)inputs, (const real*)targets, (int)count, first, samples);
        else if (DRAW >= 0) y = draw_batch(q, *(const Source*)inputs, now);
        else y = load_batch(q, inputs, targets, (int64_t)i * chunk + c);
        forward(q);
        loss_gradient(q, y);
        backward(q);
        alive = update(q, m, v, pace);
        if (OVERLAID) begin(q, theta);
        now += alive;
        first = (first + B) % samples;
    }
    if (!OVERLAID) LANES(j, P) theta[j] = theta_of(q)[j];
    if (threadIdx.x == 0) step[i] = now, dead[i] = !alive;
    report(done, ticket);
}

// Block i evaluates model i, if which[i] is not 0, as net_evaluate of step.cpp does.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
evaluate(const real* theta, const double* hp, const int64_t* which, const void* inputs, const void* targets, int64_t count, int64_t K,
         const double* weight, double* loss, double* correct, real* arena, int64_t* done, int64_t ticket) {
    const int i = blockIdx.x;
    if (!which[i]) return report(done, ticket);
    DYNAMIC_SHARED(shared);
    Model q = model_of(i, hp, shared, arena);
    begin(q, theta + (int64_t)i * P);
    const int samples = samples_of(q, count);
    const int64_t batches = INPUT == BITS ? (samples + B - 1) / B : K;
    double sum = 0, right = 0;
    for (int64_t k = 0; k < batches; k++) {
        const void* y = in(q, a_y, 1);
        if (INPUT == BITS) load_bits(q, (const int32_t*)inputs, (const real*)targets, (int)count, (int)(k * B), samples);
        else y = load_batch(q, inputs, targets, k);
        forward(q);
        LANES(b, B) {
            const double w = INPUT == BITS ? k * B + b < samples : weight[k * B + b];
            if (w == 0) continue;
            bool is_correct;
            sum += w * loss_of(q, y, b, is_correct);
            right += w * is_correct;
        }
        __syncthreads();
    }
    // add the threads' sums in the memory of the gradient, which is free here; THREADS pairs may not fit, so a few at a time
    double* of_thread = (double*)grad_of(q);
    double total[2] = {0, 0};
    constexpr int ROOM = pad(P) / 4 < THREADS ? pad(P) / 4 : THREADS;
    for (int from = 0; from < THREADS; from += ROOM) {
        const int mine = (int)threadIdx.x - from;
        if (mine >= 0 && mine < ROOM) of_thread[2 * mine] = sum, of_thread[2 * mine + 1] = right;
        __syncthreads();
        if (threadIdx.x == 0)
            for (int j = 0; j < ROOM && from + j < THREADS; j++) total[0] += of_thread[2 * j], total[1] += of_thread[2 * j + 1];
        __syncthreads();
    }
    if (threadIdx.x == 0) loss[i] = total[0], correct[i] = total[1];
    report(done, ticket);
}

#ifndef __CUDACC__  // for the tests
// The outputs z of the batch at `inputs`, and the gradient of sum(dz * z), for one model. dz, z: (S, O, B); grad: (P)
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
gradient(const real* theta, const double* hp, const void* inputs, const real* dz, real* z, real* grad, real* arena) {
    DYNAMIC_SHARED(shared);
    Model q = model_of(0, hp, shared, arena);
    begin(q, theta);
    if (INPUT == BITS) { LANES(j, WORDS * B) bits_of(q)[j] = ((const int32_t*)inputs)[j]; }
    else load_batch(q, inputs, nullptr, 0);
    LANES(j, S * O * B) in(q, a_dz, 5)[j] = dz[j];
    __syncthreads();
    forward(q);
    backward(q);
    LANES(j, S * O * B) z[j] = in(q, a_z, 5)[j];
    LANES(j, P) grad[j] = grad_of(q)[j];
}
#endif

extern "C" __device__ const int numbers[3] = {P, SHARED, REST};  // the host compares them with its own
