import java.time.Duration;
import java.util.List;

/** The three times of an election, with which all candidates run. */
record Timings(Duration leaseDuration, Duration renewDeadline, Duration retryPeriod) {

    /** Those of client-go, the defaults of most programs. */
    static final Timings DEFAULT = new Timings(Duration.ofSeconds(15), Duration.ofSeconds(10), Duration.ofSeconds(2));
    static final Timings FAST = new Timings(Duration.ofSeconds(3), Duration.ofSeconds(2), Duration.ofMillis(500));

    /** As flags of the program. */
    List<String> flags() {
        return List.of("--lease-duration=" + Config.show(leaseDuration), "--renew-deadline=" + Config.show(renewDeadline),
                "--retry-period=" + Config.show(retryPeriod));
    }

    @Override
    public String toString() {
        return String.join("/", Config.show(leaseDuration), Config.show(renewDeadline), Config.show(retryPeriod));
    }
}
