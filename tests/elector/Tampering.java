/**
 * Stands between one simulated process's {@link Elector} and the rest of the world, and breaks a rule there. A rule that shows in what the
 * elector asks for or learns can be removed here, without a word of the program's source text.
 */
interface Tampering {

    /** Changes nothing. */
    Tampering NONE = new Tampering() { };

    /** What the elector learns in place of {@code event}. */
    default Event learned(Event event) {
        return event;
    }

    /** What is done in place of {@code effect}; null for nothing. */
    default Effect done(Effect effect) {
        return effect;
    }

    /** What the elector is told at once, without asking the API server; null to ask it. */
    default Reply answered(Effect.Request request) {
        return null;
    }
}
