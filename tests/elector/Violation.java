/** An invariant of the design does not hold in a simulated schedule. Without stack trace: what matters is the event log. */
final class Violation extends RuntimeException {

    private static final long serialVersionUID = 1;

    private final String invariant;

    Violation(String invariant, String message) {
        super(message, null, false, false);
        this.invariant = invariant;
    }

    /** Its name in the design, such as {@code I1}. */
    String invariant() {
        return invariant;
    }

    /** Such as {@code I1: two pods are labelled}. */
    @Override
    public String toString() {
        return invariant + ": " + getMessage();
    }
}
