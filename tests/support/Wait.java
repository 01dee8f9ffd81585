import java.time.Duration;
import java.util.function.BooleanSupplier;

/** Waiting for a condition with a deadline: what tests do instead of sleeping. */
final class Wait {

    private Wait() {
    }

    /**
     * Returns as soon as the condition holds. It is asked every 20 ms.
     *
     * @param what the condition in words, for the message: {@code "web-0 is labelled"}
     * @throws AssertionError if the condition does not hold within the limit
     */
    static void until(String what, Duration limit, BooleanSupplier condition) {
        long start = System.nanoTime();
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() - start > limit.toNanos()) {
                throw new AssertionError("not within " + limit.toMillis() + " ms: " + what);
            }
            pause();
        }
    }

    private static void pause() {
        try {
            Thread.sleep(20);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError("interrupted while waiting", e);
        }
    }
}
