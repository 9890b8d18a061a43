(import klorpy [simulate-chor])
(defchor buy [Buyer Seller] (-> Buyer Seller #{Buyer Seller} Buyer) [budget price currency]
  (Buyer (>= budget (Seller->Buyer price))))
(simulate-chor buy 50)
