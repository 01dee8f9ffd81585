import java.util.List;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;

/** Everything random in one simulated schedule comes from here, and so from its seed. */
final class Draw {

    private final SplittableRandom random;

    Draw(long seed) {
        random = new SplittableRandom(seed);
    }

    /** True with this probability. */
    boolean chance(double probability) {
        return probability > 0 && random.nextDouble() < probability;
    }

    /** Evenly from {@code low} to {@code high}, both included. */
    long between(long low, long high) {
        return high <= low ? low : random.nextLong(low, high + 1);
    }

    /** Between the two, evenly on a logarithmic scale: short times are as likely to differ by a factor as long ones. */
    long spread(long low, long high) {
        return high <= low ? low : (long) (low * Math.pow((double) high / low, random.nextDouble()));
    }

    double between(double low, double high) {
        return low + (high - low) * random.nextDouble();
    }

    /** One of these, of which there is at least one. */
    <T> T one(List<T> of) {
        return of.get(random.nextInt(of.size()));
    }

    /** A source for somebody else, which no longer depends on how often this one is asked. */
    RandomGenerator split() {
        return random.split();
    }
}
