/**
 * Something that is measured of each candidate.
 *
 * @param scenario in which it is measured
 * @param name in words, for people
 * @param limit for how long it was waited for, in the figure's unit; infinite where there is no limit
 */
record Figure(Scenario scenario, String name, Unit unit, double limit) {

    /** Of values. Only the seconds that people wait are compared with a GET, not those in which a processor works. */
    enum Unit { SECONDS, CPU_SECONDS, MIB, COUNT }

    /** A value for people; an infinite one was not seen within the limit. */
    String show(double value) {
        if (Double.isInfinite(value)) {
            return "> " + show(limit);
        }
        return switch (unit) {
            case SECONDS, CPU_SECONDS -> showSeconds(value);
            case MIB -> "%.1f MiB".formatted(value);
            case COUNT -> (value == Math.rint(value) ? "%.0f" : "%.1f").formatted(value);
        };
    }

    /** A time for people. */
    static String showSeconds(double seconds) {
        return seconds == 0 ? "0" : seconds < 0.00995 ? "%.1f ms".formatted(seconds * 1e3)
                : seconds < 0.9995 ? "%.0f ms".formatted(seconds * 1e3) : "%.2f s".formatted(seconds);
    }
}
