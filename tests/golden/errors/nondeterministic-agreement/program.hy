(import random)
(defchor roll [A B] (-> #{A B}) []
  (random.randint 1 6))
