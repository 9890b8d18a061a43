(import math [sqrt :as root])

(defchor report [A B] (-> A B) [x]
  (A (pritn (root x)))
  (A (lfor y [1 2] (helper y later)))
  (A->B x))

(defn helper [y z] [y z])
