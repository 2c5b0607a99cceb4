/* exp of vectors, after vec.h and its primitives. */

/* exp(x): relative error at most 2 ulp (2^-22) for x in [-87.33, 88.72]; 0 below (a denormal would
 * cost a trap into microcode, and masked scores are below), infinity above, NaN for NaN. x = n ln 2
 * + r, |r| <= ln 2 / 2; the polynomial is that of Cephes' expf (Moshier). */
INLINE vf v_exp(vf x)
{
    const float low = -87.33654f;
    vf c = v_min(v_set1(89), v_max(v_set1(low), x));                 /* exp(89): infinity */
    vf shifted = v_fma(c, v_set1(1.44269504f), v_set1(12582912.0f)); /* 1.5 * 2^23: rounds */
    vf n = shifted - 12582912.0f;
    vf r = v_fma(n, v_set1(-0.693359375f), c);
    r = v_fma(n, v_set1(2.12194440e-4f), r);
    vf p = v_set1(1.9875691500e-4f);
    p = v_fma(p, r, v_set1(1.3981999507e-3f));
    p = v_fma(p, r, v_set1(8.3334519073e-3f));
    p = v_fma(p, r, v_set1(4.1665795894e-2f));
    p = v_fma(p, r, v_set1(1.6666665459e-1f));
    p = v_fma(p, r, v_set1(5.0000001201e-1f));
    vf y = v_scale2(v_fma(p, r * r, r + 1), n);
    return v_sel(x < low, v_set1(0), y);
}

/* x * sigmoid(x) and sigmoid(x). */
INLINE vf v_sigmoid(vf x)
{
    return 1 / (1 + v_exp(-x));
}
