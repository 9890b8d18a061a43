class Stepper: pass
